calls = []


def remembered(text):
    """How often this process has been asked."""
    calls.append(text)
    return len(calls)


def says(text):
    """What a plug-in should not do."""
    print(text)
    return text


class FilterModule:
    def filters(self):
        return {"backwards": lambda text: text[::-1], "remembered": remembered, "says": says}
