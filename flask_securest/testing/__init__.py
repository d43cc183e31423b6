"""What every provider and every store has to pass. Subclass a contract in your tests, and let pytest collect it.

.. code-block:: python

    class TestMyUserstore(UserstoreContract):
        def make_userstore(self):
            return MyUserstore(users=[self.ALICE, self.BOB])

The providers and stores of this package pass the same ones. The tests are plain methods with plain asserts; a
failing one shows its values with ``pytest.register_assert_rewrite("flask_securest.testing")`` in your ``conftest.py``.
"""

from .providers import AuthenticationProviderContract
from .requests import ForbiddenUserstore, make_request
from .stores import KeystoreContract, UserstoreContract, WritableUserstoreContract
from .tokenstores import TokenstoreContract

__all__ = [
    "AuthenticationProviderContract",
    "ForbiddenUserstore",
    "KeystoreContract",
    "TokenstoreContract",
    "UserstoreContract",
    "WritableUserstoreContract",
    "make_request",
]
