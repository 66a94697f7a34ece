"""Lesson 4: its predictions (4.p1 ...) and its closing questions (4.a ...)."""

from ncsn.learn.declarations import Option, Question

__all__ = ["QUESTIONS"]

QUESTIONS = (
    Question(
        "4.p1",
        "One network is read as a noise predictor and, divided by −σ, as a score. How do DDPM's loss of the one and NCSN's "
        "σ²-weighted loss of the other compare, on the same noisy points?",
        (
            Option(
                "They are the same number, for every network, trained or not.",
                "The next cell puts it to the test, with a network that has learned nothing.",
                right=True,
            ),
            Option(
                "They differ, but have their minimum at the same place.",
                "True of many pairs of losses. Here it is much more than that: multiply σ into the square and look.",
            ),
            Option(
                "They agree only once the network is trained.",
                "Training would not be needed for that: nothing in the algebra asks what the network says.",
            ),
        ),
    ),
    Question(
        "4.p2",
        "DDPM takes 1,000 small steps. Written as NCSN's noise level σ, about where do they begin and end?",
        (
            Option(
                "From 0.0001 to 0.02, like its betas.",
                "β is the variance of one step's noise. The level is what all steps so far have brought, beside what is left "
                "of the data.",
            ),
            Option(
                "From 0.01 to 1: DDPM's noise has a variance of at most 1.",
                "In its own scale, yes. But the data have shrunk to next to nothing by then, and what counts is the ratio.",
            ),
            Option(
                "From 0.01 to about 157.",
                "The root of the first β is 0.01; and after 1,000 steps the data have shrunk to 0.0064 of their size, beside "
                "noise of size 1.",
                right=True,
            ),
        ),
    ),
    Question(
        "4.p3",
        "You train an NCSN and a DDPM on the same data. At the end, one reports a loss of 0.39, the other of 0.19. Which "
        "knows the score better?",
        (
            Option("The one with 0.19.", "It may simply be asked easier questions: large noise is easy to predict."),
            Option("The one with 0.39.", "It may be asked harder questions, but that makes it no better."),
            Option(
                "The losses do not tell.",
                "Each is a mean over its own levels, and most of it is noise that nobody can predict. Hold both against "
                "the exact score, level by level.",
                right=True,
            ),
        ),
    ),
    Question(
        "4.p4",
        "The probability-flow ODE adds no noise at all on its way. One mode holds 0.2 of the data, the other 0.8. What share "
        "of its samples ends at the smaller one?",
        (
            Option(
                "None: without noise every path ends at the larger mode.",
                "The flow moves all of the noise onto all of the data. Some of the starts lie where it leads to the smaller "
                "mode.",
            ),
            Option(
                "About 0.2.",
                "The start is random, and the flow carries its distribution to the data's without losing any of it.",
                right=True,
            ),
            Option(
                "About 0.5: the start is symmetric.",
                "The start is, but the flow is not: it cuts the starts at another line than the middle.",
            ),
        ),
    ),
    Question(
        "4.a",
        "A DDPM network returns ε̂ at x_t. What is the score of x_t's own distribution, in DDPM's scale?",
        (
            Option(
                "−ε̂ / σ with σ = √((1 − ᾱ) / ᾱ).",
                "That is the score in NCSN's scale, at x_t / √ᾱ. In DDPM's own scale the noise in x_t has the size √(1 − ᾱ).",
            ),
            Option("−ε̂ / √(1 − ᾱ).", "Noise of size √(1 − ᾱ) in x_t: −ε̂ over its size.", right=True),
            Option(
                "−√(1 − ᾱ) ε̂.",
                "That is the way from the score to the noise, once too often. A score is long where noise is small.",
            ),
        ),
    ),
    Question(
        "4.b",
        "Which of these is true of the history?",
        (
            Option(
                "NCSNv2 and DDPM are both of 2020 and both discrete; the Score SDE (2021) brought continuous time and showed "
                "that both are one.",
                "It names them by what their noising does to the variance: exploding (NCSN) and preserving (DDPM).",
                right=True,
            ),
            Option(
                "NCSN (2019) was discrete, DDPM (2020) made time continuous, and NCSNv2 came out of it.",
                "DDPM has 1,000 discrete steps, and NCSNv2 is of the same year. The continuous time is another paper's.",
            ),
            Option(
                "DDPM found denoising score matching, and NCSN took it over.",
                "Denoising score matching is of 2011 (Vincent), NCSN of 2019, DDPM of 2020.",
            ),
        ),
    ),
    Question(
        "4.c",
        "What do the reverse SDE and the probability-flow ODE have in common?",
        (
            Option(
                "The paths: the ODE's is the mean of the SDE's.",
                "A mean over paths would end between the modes, where there are no data.",
            ),
            Option(
                "Only the end: on the way they have different distributions.",
                "More than that: their distributions agree at each time.",
            ),
            Option(
                "The distribution at each time, though not the paths.",
                "The SDE shakes and pulls twice as strongly; the two additions cancel in the distribution. That is a "
                "Langevin step, which leaves its distribution as it is.",
                right=True,
            ),
        ),
    ),
)
