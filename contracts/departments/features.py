"""Which version of the protocol brought which rule of the contracts (chain.protocol).

A rule asks `context.protocol >= NAME`, and a call that came later does not exist below its version. What held before
stays in the code for the heights before; nothing here is ever taken back or given another number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

GRANT_LIMITS: Final = 2
"""The administration may limit for how long a grant is given."""

ANSWERS_IN_ORDER: Final = 3
"""A carrier's answer that is older than the last one that counted, by whichever gateway, changes nothing any more; nor
does one that may compare with another first answer's identifier."""

OWN_FACTS: Final = 3
"""Customers are told the facts of what is theirs to read, and of nothing else; and by no row of a history who works in
a department."""

ONE_EFFECT: Final = 3
"""Approvals of a change count together if they signed the same effect."""

ENDED_WORK: Final = 3
"""A project, payment or client department that is erased is in nobody's hands and keeps nothing open."""

WHOLE_CUSTOMER: Final = 3
"""Who brings a customer into a project may read all that this opens to the project's departments."""

RETAINED_RECORDS: Final = 3
"""Retention periods are for tables of records: rows of a log are erased by nobody."""

SHUT_OUT: Final = 3
"""A customer who is revoked does not come back by an invitation that was open then."""

NO_SECOND_PLACE: Final = 3
"""A customer with a key has no values in the table of people, where an erasure of the customer would not find them."""

PRESENT_SUBJECTS: Final = 3
"""Nothing is granted or assigned to people of a department that was removed: it would come to nothing."""

HELD_TOGETHER: Final = 4
"""A hold on a customer lies on what is the customer's alone too: participations, demands, feedback."""

BOUNDED_WALKS: Final = 4
"""What one call has to walk up, or to erase, has an end: trees are so deep, customers have so much, and no more."""

OUT_OF_SERVICE: Final = 4
"""A number that is out of service does not come back to its customer by an identifier that nobody knew before."""

PRESENT_GATEWAYS: Final = 4
"""What a gateway said counts for no other's answer any more once its department was removed."""

OWN_FEEDBACK: Final = 4
"""Customers send feedback about projects that they take part in, and by its refusal hear nothing of others."""

GRANTED_HISTORY: Final = 4
"""Customers see the history of a project of theirs once they have been let see the project."""

OWN_ROTATIONS: Final = 4
"""A node changes its own key so many times; after that the departments agree on it."""

CALLS: Final[Mapping[str, int]] = {"permissions.limit_grants": GRANT_LIMITS}
"""Calls that version 1 does not have -> the version that brought them."""
