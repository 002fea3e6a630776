"""The decision core: pure, told what time it is, imported by everything and importing only the standard library."""
