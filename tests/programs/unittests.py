"""Runs a project's own unittests and says each one's outcome as a `case` line: unittests.py SUITE FOLDER [TOP]."""

import sys
import unittest

suite, folder, *top = sys.argv[1:]


class Cases(unittest.TextTestResult):
    told = []

    def say(self, test, outcome, reason=""):
        # A test that fails or skips one of its parts has failed or is skipped, and is told once.
        test = getattr(test, "test_case", test)
        if test in self.told:
            return
        self.told.append(test)
        name = test.id().removeprefix("tests.").replace(" ", "-")
        print(f"case {suite}.{name} {outcome} {' '.join(str(reason).split())[:160]}".rstrip())
        sys.stdout.flush()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.say(test, "passed")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.say(test, "failed", repr(err[1]))

    def addError(self, test, err):
        super().addError(test, err)
        self.say(test, "failed", repr(err[1]))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say(test, "skipped", reason)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.say(test, "failed", repr(err[1]))

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.say(test, "passed")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.say(test, "failed", "unexpected success")


tests = unittest.defaultTestLoader.discover(folder, top_level_dir=top[0] if top else None)
unittest.TextTestRunner(verbosity=0, resultclass=Cases).run(tests)
