"""Every SQL statement of registration, one module per kind of thing stored."""

from shared.catalogue import PairFact
from shared.projections import Projection, Projections

PROJECTIONS = Projections((Projection("pairs", PairFact.TOPIC),))
