"""Attacks on the library, seeded and counted: what `docs/reliability.md` promises is held here.

    make campaign                                          # the whole, with the counts of the promises
    python -m campaign --quick                             # a few of each
    python -m campaign --parts data-files --seed 7
    python -m campaign --parts data-files --seed 7 --only 123    # one attack again

An attack is made from the seed, its part and its number alone, so that it can be made again. Where a promise is broken, what
was attacked is kept in a folder of its own, with the words that were printed, and the exit code is 1.
"""
