"""Know the endpoints of an Api as an application knows them."""

from __future__ import annotations

from flask import Flask
from flask_restful import Api


def has_endpoint(api: Api, endpoint: str) -> bool:
    """Return whether an endpoint of an application is one of an Api by its name.

    :param api: the Api
    :param endpoint: the endpoint, as the application knows it
    """
    if api.blueprint is None:
        return endpoint in api.endpoints
    prefix = f"{api.blueprint.name}."
    return endpoint.startswith(prefix) and endpoint[len(prefix) :] in api.endpoints


def full_endpoint(api: Api, name: str) -> str:
    """Return an endpoint of an Api as an application knows it.

    Flask-RESTful registers views under the Blueprint's own name, even if it is nested, or was registered under another
    one.

    :param api: the Api
    :param name: the endpoint as the Api knows it
    """
    return name if api.blueprint is None else f"{api.blueprint.name}.{name}"


def find_verbs(app: Flask, endpoint: str) -> set[str]:
    """Return the verbs of the URLs that lead to an endpoint.

    :param app: the application
    :param endpoint: the endpoint
    """
    return {verb for rule in app.url_map.iter_rules() if rule.endpoint == endpoint for verb in rule.methods or ()}
