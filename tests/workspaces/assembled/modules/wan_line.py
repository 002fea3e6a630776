#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule

m = AnsibleModule(argument_spec={"name": {"type": "str"}})
m.exit_json(changed=False)
