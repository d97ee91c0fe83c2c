"""Runs modules of python's own tests: one line `outcome test` for each test, for pystd.t.

    pystd.py FILE SECONDS MODULE[:PATTERN...] ...

FILE gets the lines of all modules. A test whose name contains a pattern is left out; with a pattern of
+NAME, all that do not contain one of those names are. A test of more than SECONDS is told on stderr."""
import os
import sys
import time
import unittest


class Result(unittest.TestResult):
    def __init__(self, out, slow):
        super().__init__()
        self.out, self.slow, self.bad = out, slow, None

    def startTest(self, test):
        super().startTest(test)
        self.outcome, self.begin = 'ok', time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        took = time.monotonic() - self.begin
        self.say(self.outcome, test.id())
        if took > self.slow:
            print(f'{took:.1f} s: {test.id()}', file=sys.stderr, flush=True)

    def say(self, outcome, name):
        print(outcome, name, file=self.out, flush=True)

    def fail(self, test, err, what):
        self.outcome = what
        print(f'== {what} {test.id()}', file=sys.stderr)
        print(self._exc_info_to_string(err, test), file=sys.stderr, flush=True)
        if not hasattr(test, '_testMethodName'):  # set-up of a class or module
            self.say(what, test.id())

    def addError(self, test, err):
        self.fail(test, err, 'ERROR')

    def addFailure(self, test, err):
        self.fail(test, err, 'FAIL')

    def addSubTest(self, test, subtest, err):
        if err:
            self.fail(test, err, 'FAIL')

    def addSkip(self, test, reason):
        self.outcome = 'skip'
        if not hasattr(test, '_testMethodName'):
            self.say('skip', test.id())

    def addExpectedFailure(self, test, err):
        self.outcome = 'xfail'

    def addUnexpectedSuccess(self, test):
        self.outcome = 'xpass'


def chosen(suite, leave, only):
    for t in suite:
        if isinstance(t, unittest.TestSuite):
            yield from chosen(t, leave, only)
        elif not any(p in t.id() for p in leave) and (not only or any(p in t.id() for p in only)):
            yield t


def main():
    slow = float(sys.argv[2])
    with open(sys.argv[1], 'a') as out:
        for arg in sys.argv[3:]:
            name, *patterns = arg.split(':')
            suite = unittest.defaultTestLoader.loadTestsFromName(f'test.{name}')
            leave = [p for p in patterns if p[0] != '+']
            tests = unittest.TestSuite(chosen(suite, leave, [p[1:] for p in patterns if p[0] == '+']))
            begin = time.monotonic()
            tests.run(Result(out, slow))
            print(f'{time.monotonic() - begin:.1f} s in all: {name}', file=sys.stderr, flush=True)


if __name__ == '__main__':
    main()
