"""What all commands have in common: how they fail, and the options that several of them take."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar, cast

import click
from flask.cli import AppGroup

from ..errors import BackendError, ConfigurationError
from ..support.logs import message_of
from .output import OutputError, escape, flush_output, note, write_help

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Refused(click.ClickException):
    """Say that it was not done: there is no such thing, or it is taken, or not allowed."""

    exit_code = 1

    def format_message(self) -> str:
        """Return the message in one line, for it may quote a name that commands a terminal (CWE-150)."""
        return escape(self.message)

    def show(self, file: Any = None) -> None:
        """Tell it on standard error. Where that cannot be written the exit code has to do."""
        note(f"Error: {self.message}")


class Misconfigured(Refused):
    """Say that the application is not set up for this command."""

    exit_code = 2


class Unavailable(Refused):
    """Say that a database or a directory is down."""

    exit_code = 3


class _Helpful(click.Command):
    """Print help as everything else is printed."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option ``--help``."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _print_help
        return option

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        """Read the arguments. For help there is no context, but the exception that ends the process."""
        with _output_that_arrives():
            return super().make_context(*arguments, **extra)


class _Command(_Helpful):
    """Run one command."""


class Commands(_Helpful, AppGroup):
    """Group commands that run in the application's context, and whose errors are one line and an exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments. Without any, help is an error, as it is for click since 8.2."""
        if not args and not ctx.resilient_parsing:
            write_help(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        with _output_that_arrives():
            return super().invoke(ctx)

    def command(  # type: ignore[override]
        self, name: str, *, short_help: str, examples: Iterable[str]
    ) -> Callable[[Callable[..., Any]], click.Command]:
        """Return the decorator that makes a function a command of this group.

        :param name: how it is called
        :param short_help: what it does, in the group's list
        :param examples: lines to type, for the end of its help
        """
        # After a backspace, click leaves the ends of lines where they are.
        epilog = "\b\nExamples:\n" + "\n".join(f"  {example}" for example in examples)
        decorate = super().command(name, cls=_Command, short_help=short_help, epilog=epilog)
        return lambda function: decorate(_failing_in_one_line(function))


def store_option(function: _Function) -> _Function:
    """Give a command the option ``--store``."""
    return click.option("--store", metavar="NAME", help="Which one, if the application has several.")(function)


def json_option(function: _Function) -> _Function:
    """Give a command the option ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(function)


def _print_help(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        write_help(ctx.get_help())
        ctx.exit()


@contextmanager
def _output_that_arrives() -> Iterator[None]:
    """See to it that what was printed has been written when the block ends.

    :raises Refused: it cannot be. Another error is told instead, with its exit code.
    """
    failure = None
    try:
        try:
            yield
        except click.exceptions.Exit:
            flush_output()
            raise
        except Exception:
            with suppress(OutputError):
                flush_output()
            raise
        flush_output()
    except OutputError as error:
        failure = str(error)
    if failure is not None:
        raise Refused(f"standard output cannot be written ({failure})")


def _failing_in_one_line(function: _Function) -> _Function:
    """Return a function whose expected errors end the command with a line and an exit code, without a traceback.

    It is called inside of the application's context: what fails while the application is loaded keeps its traceback.
    """

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except BackendError as error:
            failure: Refused = Unavailable(message_of(error))
        except ConfigurationError as error:
            failure = Misconfigured(message_of(error))
        except ValueError as error:
            failure = Refused(message_of(error))
        # Outside of the except block: the context of the error might quote a row with its hash.
        raise failure

    return cast("_Function", run)
