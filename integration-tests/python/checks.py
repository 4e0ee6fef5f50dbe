"""Runs the checks of a script one by one and says which failed."""

import os
import sys
import time
import traceback


def run(namespace, *arguments):
    """Calls every function of the namespace whose name starts with check_, in the order in which they are written; exits 1 if one fails."""
    failed = []
    names = [name for name, value in namespace.items() if name.startswith("check_") and callable(value)]
    if not names:
        sys.exit("no checks")
    for name in names:
        started = time.monotonic()
        try:
            namespace[name](*arguments)
        except Exception:
            failed.append(name)
            print(f"FAILED {name}")
            traceback.print_exc()
        else:
            print(f"ok {name} ({time.monotonic() - started:.2f} s)")
    print(f"{len(names) - len(failed)} of {len(names)} checks passed")
    sys.exit(1 if failed else 0)


def leave(code=0):
    """Ends the process as it is: one that reads Parquet is aborted now and then where it ends while threads of its libraries begin or end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def equal(got, wanted, what):
    """Fails with both values unless they are equal."""
    if got != wanted:
        raise AssertionError(f"{what}: got {shorten(got)}, wanted {shorten(wanted)}")


def raises(kinds, action, *words):
    """Runs the action, which must raise one of the exceptions, with all of the words in its message."""
    try:
        action()
    except kinds as error:
        for word in words:
            if word.lower() not in str(error).lower():
                raise AssertionError(f"the message does not say {word!r}: {error}") from error
        return error
    raise AssertionError(f"nothing was raised, wanted {kinds}")


def shorten(value):
    """A value's text, cut to a readable length."""
    text = repr(value)
    return text if len(text) < 2000 else text[:2000] + "..."
