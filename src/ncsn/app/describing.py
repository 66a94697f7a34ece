"""What the data are taken for, in words: one line a column, and the settings."""

from ncsn.data import Dataset, Encoding
from ncsn.data.relations import relations
from ncsn.data.tables import TableColumn
from ncsn.model import TrainingData
from ncsn.plan import Plan
from ncsn.plan.settings import aligned


def words_of(dataset: Dataset, ready: TrainingData, plan: Plan) -> str:
    """Return what `ncsn plan` prints."""
    encoding, columns = ready.encoding, columns_table(ready.encoding, ready.contexts)
    table = aligned([list(columns[0]), *(list(column.values()) for column in columns)]) if columns else []
    dropped = [f"left out: {', '.join(encoding.container.dropped)}"] if encoding.container.dropped else []
    related = relations(encoding, encoding.values(dataset.values)) if encoding.table else ()
    notes = [f"note: {relation}" for relation in related]
    return "\n".join([*table, *dropped, *notes, *([""] if table else []), str(plan)])


def columns_table(encoding: Encoding, contexts: Encoding | None = None) -> list[dict[str, str]]:
    """Return a row for each column of a table: its name, what it holds, how it is encoded, and the rule that decided.

    The columns that are contexts come first, and are called given.
    """
    told = () if contexts is None else contexts.table
    columns = [(f"{column.name} (given)", column) for column in told]
    columns += [(str(column.name), column) for column in encoding.table]
    return [{"column": name, "kind": _kind(c), "encoded as": c.encoding, "rule": c.rule} for name, c in columns]


def _kind(column: TableColumn) -> str:
    return f"{column.type.kind}: {column.type.words}"
