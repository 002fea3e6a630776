from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule({"text": {"type": "str"}}, supports_check_mode=True)
module.exit_json(changed=False, words=len(module.params["text"].split()))
