"""What watches an application sees refusals as ordinary answers, and no credentials."""

import base64
import json
import logging

import flask
import pytest
import sentry_sdk
from applications import in_either_order, make_application, run_in_another_process
from flask_restful import Api
from helpers import ALICE, BOB, FAST, SECRET_KEY, Scripted, basic, bearer, make_userstore, new_who, with_key
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.resources import Resource as Traced
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from prometheus_flask_exporter import PrometheusMetrics
from sentry_sdk.transport import Transport

from flask_securest import SecuREST, authenticators, public, require
from flask_securest.authentication_providers import (
    HeaderApiKeyAuthenticator,
    PasswordAuthenticator,
    TokenAuthenticator,
)
from flask_securest.errors import BackendError
from flask_securest.keystores import SimpleKeystore
from flask_securest.tokenstores import SimpleTokenstore
from flask_securest.userstores import AbstractUserstore

WRONG = basic("alice", "wrong")

#: Path, headers, and status.
ANSWERS = {
    "let in": ("/who", ALICE, 200),
    "no credentials": ("/who", {}, 401),
    "wrong credentials": ("/who", WRONG, 401),
    "missing role": ("/admins", BOB, 403),
    "back end down": ("/down", {}, 503),
    "public": ("/open", {}, 200),
}
answers = pytest.mark.parametrize(("path", "headers", "status"), ANSWERS.values(), ids=ANSWERS)


def make_resources():
    return [
        new_who(),
        require(roles="admin")(new_who("Admins")),
        authenticators(Scripted(BackendError("down"), name="down"))(new_who("Down")),
        public(reason="anybody")(new_who("Open")),
    ]


class TestOpenTelemetry:
    @pytest.fixture
    def spans(self):
        return InMemorySpanExporter()

    @pytest.fixture
    def tracing(self, spans):
        provider = TracerProvider(resource=Traced.get_empty(), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(spans))
        yield {"tracer_provider": provider}
        provider.shutdown()

    def check(self, app, spans, caplog, path, headers, status):
        answer = app.test_client().get(path, headers=headers)
        assert answer.status_code == status
        (span,) = spans.get_finished_spans()
        told = dict(span.attributes)
        assert span.name == f"GET {path}"
        assert told["http.route"] == path
        # Which of the two it is called depends on the release.
        assert {told.get("http.status_code"), told.get("http.response.status_code")} == {status, None}
        assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []

    @answers
    @in_either_order
    def test_each_answer_has_a_span_with_its_route(
        self, extension_first, path, headers, status, spans, tracing, caplog
    ):
        caplog.set_level(logging.INFO)

        def instrument(app, blueprint):
            FlaskInstrumentor().instrument_app(app, **tracing)

        app = make_application(instrument, *make_resources(), extension_first=extension_first)
        self.check(app, spans, caplog, path, headers, status)

    @answers
    def test_so_it_is_where_all_applications_are_instrumented(self, path, headers, status, spans, tracing, caplog):
        caplog.set_level(logging.INFO)
        FlaskInstrumentor().instrument(**tracing)
        try:
            app = flask.Flask("tests")
        finally:
            FlaskInstrumentor().uninstrument()
        api = Api(app)
        SecuREST(
            api, userstore=make_userstore(), authentication_providers=[PasswordAuthenticator(password_hasher=FAST)]
        )
        for resource in make_resources():
            api.add_resource(resource, f"/{resource.__name__.lower()}")
        self.check(app, spans, caplog, path, headers, status)

    def test_what_the_provider_does_belongs_to_the_span_of_the_request(self, spans, tracing):
        tracer = tracing["tracer_provider"].get_tracer("tests")

        class Traceable(AbstractUserstore):
            def get_user(self, identifier):
                with tracer.start_as_current_span("look up"):
                    return make_userstore().get_user(identifier)

        def instrument(app, blueprint):
            FlaskInstrumentor().instrument_app(app, **tracing)

        app = make_application(instrument, new_who(), userstore=Traceable())
        for headers in (ALICE, WRONG):
            app.test_client().get("/who", headers=headers)
            look_up, request = spans.get_finished_spans()
            assert look_up.name == "look up"
            assert look_up.parent.span_id == request.context.span_id
            spans.clear()


class TestPrometheus:
    def make(self, extension_first, registry):
        def measure(app, blueprint):
            PrometheusMetrics(app, registry=registry, group_by="endpoint")

        return make_application(measure, *make_resources(), extension_first=extension_first)

    @answers
    @in_either_order
    def test_each_answer_is_counted_and_timed(self, extension_first, path, headers, status, monkeypatch):
        monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
        registry = CollectorRegistry()
        client = self.make(extension_first, registry).test_client()
        assert [client.get(path, headers=headers).status_code for _ in range(2)] == [status] * 2
        labels = {"method": "GET", "status": str(status)}
        assert registry.get_sample_value("flask_http_request_total", labels) == 2
        timed = labels | {"endpoint": path[1:]}
        assert registry.get_sample_value("flask_http_request_duration_seconds_count", timed) == 2

    @in_either_order
    def test_the_metrics_are_a_plain_view_and_stay_open(self, extension_first, monkeypatch):
        monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
        client = self.make(extension_first, CollectorRegistry()).test_client()
        assert client.get("/who").status_code == 401
        metrics = client.get("/metrics")
        assert metrics.status_code == 200
        assert 'flask_http_request_total{method="GET",status="401"} 1.0' in metrics.text


class Collecting(Transport):
    """Keep what would be sent."""

    def __init__(self):
        super().__init__()
        self.events = []

    def capture_envelope(self, envelope):
        event = envelope.get_event()
        if event is not None:
            self.events.append(json.loads(json.dumps(event, default=str)))


BESIDE = "planted-beside-b1a2"


def _fail():
    beside = BESIDE  # noqa: F841  # a local variable, for Sentry to find
    raise RuntimeError("the driver's own error")


class BrokenUsers(AbstractUserstore):
    def get_user(self, identifier):
        _fail()


class BrokenKeys(SimpleKeystore):
    def get_key(self, key_id):
        _fail()


class BrokenSessions(SimpleTokenstore):
    def get_session(self, session_id):
        _fail()


def report_to_sentry():
    """Return what Sentry is sent for each kind of request, and what was secret in it. It changes the whole process."""
    transport = Collecting()
    sentry_sdk.init(dsn="https://public@sentry.invalid/1", transport=transport, traces_sample_rate=1.0)
    keys, sessions = BrokenKeys(), BrokenSessions()
    tokens = TokenAuthenticator(SECRET_KEY, store=sessions)
    key = keys.issue(app_name="ci").text
    with flask.Flask("issuing").test_request_context():
        token = tokens.generate_auth_token("alice")
    password = "planted-password-5d1f"
    header = basic("alice", password)
    hashing = PasswordAuthenticator(password_hasher=FAST)
    cases = {
        "no credentials": ([hashing], make_userstore(), {}, []),
        "wrong password": ([hashing], make_userstore(), WRONG, []),
        "missing role": ([hashing], make_userstore(), BOB, []),
        "back end down": ([Scripted(BackendError("down"))], None, {}, []),
        "bug of a provider": ([Scripted(ValueError("a bug"))], None, {}, []),
        "API key": (
            [HeaderApiKeyAuthenticator(keystore=keys)],
            None,
            with_key(key),
            [key, key.rpartition("_")[2]],
        ),
        "password": ([hashing], BrokenUsers(), header, [password, header["Authorization"].split()[1]]),
        "token": ([tokens], None, bearer(token), [token, token.rpartition(".")[2]]),
    }
    told = {}
    for name, (providers, userstore, headers, secrets) in cases.items():
        app = make_application(
            lambda app, blueprint: None,
            require(roles="admin")(new_who()),
            userstore=userstore,
            authentication_providers=providers,
        )
        transport.events.clear()
        status = app.test_client().get("/who", headers=headers).status_code
        sentry_sdk.flush()
        told[name] = {"status": status, "events": list(transport.events), "secrets": secrets}
    return told


@pytest.fixture(scope="module")
def told():
    return run_in_another_process(report_to_sentry)


class TestSentry:
    """With its defaults, and without its network."""

    @pytest.mark.parametrize(
        ("what", "status"),
        [("no credentials", 401), ("wrong password", 401), ("missing role", 403), ("back end down", 503)],
    )
    def test_a_refusal_is_no_event(self, told, what, status):
        assert told[what]["status"] == status
        assert [event for event in told[what]["events"] if event.get("type") != "transaction"] == []

    @pytest.mark.parametrize("what", ["bug of a provider", "API key", "password", "token"])
    def test_a_bug_is_one_event(self, told, what):
        assert told[what]["status"] == 500
        (event,) = self.errors(told[what])
        error = event["exception"]["values"][-1]
        assert error["type"] == ("ValueError" if what == "bug of a provider" else "RuntimeError")
        modules = {frame["module"].partition(".")[0] for frame in error["stacktrace"]["frames"]}
        assert "flask_securest" in modules

    @pytest.mark.parametrize("what", ["API key", "password", "token"])
    def test_no_credentials_are_in_it(self, told, what):
        (event,) = self.errors(told[what])
        frames = [frame for error in event["exception"]["values"] for frame in error["stacktrace"]["frames"]]
        ours = [frame for frame in frames if frame["module"].startswith("flask_securest")]
        others = [frame.pop("vars", {}) for frame in frames if frame not in ours]
        # What the application has in its own frames is its own affair; and it shows that Sentry does look.
        assert shows(others, BESIDE)
        assert any(frame["vars"] for frame in ours)
        for secret in told[what]["secrets"]:
            for frame in ours:
                for name, value in frame["vars"].items():
                    assert not shows(value, secret), (frame["module"], frame["function"], name)
            assert not shows(told[what]["events"], secret)

    @staticmethod
    def errors(told):
        return [event for event in told["events"] if event.get("type") != "transaction"]


def shows(value, secret):
    text = json.dumps(value)
    spellings = [secret, secret.encode().hex(), base64.b64encode(secret.encode()).decode().rstrip("=")[:-1]]
    return any(spelling in text for spelling in spellings)
