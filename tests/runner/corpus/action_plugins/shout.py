from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        done = self._execute_module(
            module_name="ansible.builtin.command",
            module_args={"_raw_params": "echo " + self._task.args["text"].upper()},
            task_vars=task_vars,
        )
        return {**result, "changed": False, "said": done["stdout"]}
