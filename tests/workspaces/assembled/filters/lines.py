class FilterModule:
    def filters(self):
        return {"upcase_line": str.upper}
