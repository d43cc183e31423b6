"""What the package depends on, and why. The rest of its metadata is in pyproject.toml."""

from setuptools import setup

setup(
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
)
