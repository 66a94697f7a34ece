"""Lesson 2: its predictions (2.p1 ...) and its closing questions (2.a ...)."""

from ncsn.learn.declarations import Option, Question

__all__ = ["QUESTIONS"]

QUESTIONS = (
    Question(
        "2.p1",
        "Nine noise levels lead from 100 down to 0.01. Which level should be the middle one?",
        (
            Option(
                "About 50.",
                "That is the middle by differences. Five of the nine levels would then be above 50, and only one below 10.",
            ),
            Option(
                "1.",
                "The middle by ratios: as many times below 100 as it is above 0.01. Every scale of the data gets as many levels.",
                right=True,
            ),
            Option("About 0.02.", "There the fog is gone but for the last wisp. What would lead down to it?"),
        ),
    ),
    Question(
        "2.p2",
        "The data are two points, at −1 and +1, one as likely as the other. A noisy point lies at 0. The two arrows that it may "
        "be trained towards point left and right. What does the network learn to answer there?",
        (
            Option(
                "Either left or right, whichever came last.",
                "Each step pulls it to one side a little; over many steps both sides pull.",
            ),
            Option(
                "Nothing sensible: the targets contradict each other.",
                "They do, one by one. But a squared error has a best answer even so.",
            ),
            Option(
                "Zero, the mean of the two arrows.",
                "The best answer to a squared error is the mean of the targets. And the score of the fog at 0 is just that.",
                right=True,
            ),
        ),
    ),
    Question(
        "2.p3",
        "A network always answers zero. What is its weighted loss, the mean of (σ·s + z)² with standard normal z?",
        (
            Option("1 at every level.", "What is left is the mean of z², the variance of the noise.", right=True),
            Option("It grows with σ.", "It would without the division of the target by σ. Put s = 0 into the formula."),
            Option("It grows as σ shrinks.", "So it does without the weight σ². Put s = 0 into the formula."),
        ),
    ),
    Question(
        "2.p4",
        "After training, the loss at σ = 0.001 is within 0.2% of the smallest loss that any network can have. "
        "How good is the score there?",
        (
            Option(
                "Within about 0.2% of the truth.",
                "That would be so if the smallest loss were 0. Here it is 0.9999, and nearly all of that is noise.",
            ),
            Option(
                "About as good as at σ = 0.1.",
                "The loss at 0.1 is further from its floor. Look at the table.",
            ),
            Option(
                "The loss cannot say; it may be worse than answering zero.",
                "It is: the part of the loss that the score is responsible for is far smaller than what chance adds.",
                right=True,
            ),
        ),
    ),
    Question(
        "2.a",
        "At which noise level are the scores longest?",
        (
            Option(
                "At the smallest: about 1/σ long, until σ falls below the finest scale of the data.",
                "So sampling can take long steps in thick fog, growing as σ²: the next notebook lives on it.",
                right=True,
            ),
            Option(
                "At the largest: there is more noise to remove.",
                "More noise, yes. But the arrow is the way back divided by σ², which is about 1/σ long. The opposite is in print "
                "in places; the table of this notebook says what is so.",
            ),
            Option(
                "They are equally long at all levels.",
                "That is σ times the score, what the network's last layer gives.",
            ),
        ),
    ),
    Question(
        "2.b",
        "What would the network learn if it were trained with the same loss, but not told σ?",
        (
            Option(
                "The score at the mean level.",
                "A mean of scores is not the score at a mean level: where several fogs overlap, each of them has its say.",
            ),
            Option(
                "A blend of all levels' scores, weighted by how likely each level is to have brought a point here.",
                "The mean of the targets again, now over levels, too. In high dimensions a point's own noise tells its level "
                "rather well; in the plane it does not.",
                right=True,
            ),
            Option(
                "Nothing: training would not converge.",
                "It converges, as any regression does, to the mean of its targets.",
            ),
        ),
    ),
    Question(
        "2.c",
        "Your data lie in clusters that are 0.1 wide. Which smallest level do you train?",
        (
            Option(
                "About 0.02: somewhat below the finest scale.",
                "Finer fog than that changes nothing about the data, so there is nothing left to learn.",
                right=True,
            ),
            Option(
                "0.000001, to be on the safe side.",
                "Down there the loss is blind, and levels are spent that the fine scales lack.",
            ),
            Option(
                "1: the score is easiest to learn there.",
                "So it is. But in fog of 1 the clusters are gone, and no sample can be sharper than its last level.",
            ),
        ),
    ),
)
