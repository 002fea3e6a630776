from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule({"data": {"type": "str"}})
module.exit_json(path=module.params["data"] + " by a module of this directory")
