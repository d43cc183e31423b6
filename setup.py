from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="flask_securest",
    version="0.1.0",
    description="The security layer for Flask-RESTful: attach once, and every Resource method is closed.",
    long_description=Path(__file__).with_name("README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["flask_securest", "flask_securest.*"]),
    package_data={"flask_securest": ["py.typed"]},
    python_requires=">=3.10",
    install_requires=[
        "Flask>=2.3",  # what is guarded; brings Werkzeug, itsdangerous (signed tokens), blinker (signals), click
        "Flask-RESTful>=0.3.10",  # what is guarded; the first release that runs with Flask 2.3
        "libpass[argon2,bcrypt]>=1.9.3",  # password hashing: the maintained distribution of the package passlib
    ],
    extras_require={
        "ldap": ["ldap3>=2.9.1"],  # LDAPUserstore: pure Python, with timeouts that work
        "sqlalchemy": ["SQLAlchemy>=2.0"],  # SQLAlchemyUserstore, SQLAlchemyKeystore; SQLite comes with Python
        "postgresql": ["SQLAlchemy>=2.0", "psycopg[binary]>=3.2.11"],  # for many machines; 3.2.11: waits can be bounded
        "jwt": ["PyJWT[crypto]>=2.10"],  # JWTAuthenticator: signatures by cryptography
        "certificates": ["cryptography>=42"],  # ClientCertificateAuthenticator, where it reads whole certificates
        "kerberos": ["gssapi>=1.8"],  # KerberosAuthenticator: MIT Kerberos
        "redis": ["redis>=5"],  # RedisTokenstore: sessions of tokens, for many machines
        "yaml": ["PyYAML>=6.0"],  # FileUserstore of a YAML file; JSON needs nothing
    },
    entry_points={"flask.commands": ["securest=flask_securest.cli:securest"]},  # flask securest ...
    classifiers=[
        "Development Status :: 4 - Beta",
        "Framework :: Flask",
        "Intended Audience :: Developers",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Internet :: WWW/HTTP :: WSGI",
        "Topic :: Security",
        "Typing :: Typed",
    ],
)
