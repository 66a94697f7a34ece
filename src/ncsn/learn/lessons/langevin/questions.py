"""Lesson 3: its predictions (3.p1 ...) and its closing questions (3.a ...)."""

from ncsn.learn.declarations import Option, Question

__all__ = ["QUESTIONS"]

QUESTIONS = (
    Question(
        "3.p1",
        "Langevin dynamics runs for a long time on N(0, σ²), with steps of α = σ². What spread do the walkers end with?",
        (
            Option("Exactly σ.", "Only as α goes to 0. A step of finite length overshoots a little, every time."),
            Option("A little more than σ.", "The variance is a third larger: the next exercise shows why.", right=True),
            Option("They fly apart.", "That takes larger steps still, from α = 4σ² on."),
        ),
    ),
    Question(
        "3.p2",
        "Two modes, at (−5, −5) with a fifth of the mass and at (5, 5) with the rest. Walkers start all over the square "
        "and follow the *exact* score of the clean data, with noise, for 1,000 small steps. What share ends at the smaller mode?",
        (
            Option(
                "About 0.5.",
                "Each walker goes to the mode that it started nearer to, and stays. The score at a mode knows only that mode.",
                right=True,
            ),
            Option(
                "About 0.2: the score is exact.",
                "In the long run, yes. But here the long run outlasts the universe.",
            ),
            Option(
                "About 0: the larger mode attracts all.",
                "Once you are on a mode's side, its pull does not depend on its mass.",
            ),
        ),
    ),
    Question(
        "3.p3",
        "Noise levels lead from 15 down to 0.1. How should the step α change from one to the next?",
        (
            Option(
                "It stays the same.",
                "What is a safe step at σ = 0.1 would need a million steps to get anywhere at σ = 15.",
            ),
            Option(
                "It falls as σ².",
                "The cloud is σ wide and the score 1/σ long: then each level sees the same dance, at another scale.",
                right=True,
            ),
            Option(
                "It grows as σ falls, because the score falls, too.",
                "The score grows as σ falls, like 1/σ. With growing steps the walk would explode.",
            ),
        ),
    ),
    Question(
        "3.p4",
        "Large steps inflate the cloud, so someone takes ε = 0.000001 instead of 0.001, to be careful, with as many steps. "
        "What becomes of the samples?",
        (
            Option(
                "They get better: smaller steps are more exact.",
                "Per step, yes. But the walk then hardly moves, and nothing has time to settle.",
            ),
            Option(
                "Nothing changes but the last digits.",
                "With as many steps, the walk covers a thousandth of the variance.",
            ),
            Option(
                "They are far too wide: they still carry noise of the levels above.",
                "The chisel marks stay: no level has had time to smooth what the one before left.",
                right=True,
            ),
        ),
    ),
    Question(
        "3.a",
        "Why does plain Langevin dynamics get the modes' shares wrong, even with the exact score?",
        (
            Option(
                "Between the modes lies a region that it does not cross in any affordable time, so the start decides.",
                "And within one mode the score does not say how much mass the other one has.",
                right=True,
            ),
            Option("Because its steps are too large.", "With smaller ones it would be less able still to cross."),
            Option(
                "Because the score is wrong between the modes.",
                "A learned one is. This one was exact, and the shares were just as wrong.",
            ),
        ),
    ),
    Question(
        "3.b",
        "A paper walks x + α s + √(2α) z and recommends α = 0.00001. Which ε is that for `annealed_langevin_dynamics` here, "
        "which walks x + (α/2) s + √α z?",
        (
            Option("0.00001", "Compare the two noise terms: √(2α) there, √α here."),
            Option("0.00002", "Both terms of the paper's step are those of a step twice as large here.", right=True),
            Option("0.000005", "Compare the two noise terms: √(2α) there, √α here."),
        ),
    ),
    Question(
        "3.c",
        "Your samples have crisp details, but one kind of data is over-represented. Where do you look first?",
        (
            Option(
                "At the large levels: is σ_max large enough, and do the levels where the modes part get enough steps?",
                "The shares are decided where the modes part, at levels of about their distance. After that they are frozen.",
                right=True,
            ),
            Option("At the last levels: more steps with sandpaper.", "At σ = 0.1 nobody changes sides any more."),
            Option("At the last denoising step.", "It moves each sample by less than the last level's noise."),
        ),
    ),
)
