import asyncio
import inspect

import pytest

# Of the other standard tests of LangChain, which are imported with those that we run.
MARKERS = ("asyncio", "benchmark", "vcr")


def pytest_configure(config):
    for name in MARKERS:
        config.addinivalue_line("markers", f"{name}: of a plugin of pytest that we do not use")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run a test that is a coroutine, as some of frameworks are, without a plugin for them."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
