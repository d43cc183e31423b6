"""A real proxy of the kind that companies let nothing out but through."""

from contextlib import contextmanager

from .process import find_program, free_port, running

USER, PASSWORD = "api", "proxy-password-planted-5e"

_CONFIGURATION = """
Port {port}
Listen 127.0.0.1
Timeout 60
MaxClients 50
LogLevel Connect
Allow 127.0.0.1
BasicAuth {user} {password}
"""


@contextmanager
def running_tinyproxy(directory):
    """Run tinyproxy until the end of the block, and yield its port, and the path of its log.

    :param directory: where its files may be
    """
    port, log = free_port(), directory / "tinyproxy.log"
    configuration = directory / "tinyproxy.conf"
    configuration.write_text(_CONFIGURATION.format(port=port, user=USER, password=PASSWORD))
    command = [find_program("tinyproxy", "tinyproxy"), "-d", "-c", str(configuration)]
    with running(command, port, log):
        yield port, log
