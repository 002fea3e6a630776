from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule({"length": {"type": "int"}})
module.exit_json(area=module.params["length"] ** 2)
