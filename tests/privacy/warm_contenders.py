"""`contenders` as a fork server wants them: everything imported, and the sums computed that all trials share."""

from tests.privacy.contenders import bank

bank()
