"""Lesson 1: its predictions (1.p1 ...) and its closing questions (1.a ...)."""

from ncsn.learn.declarations import Option, Question

__all__ = ["QUESTIONS"]

QUESTIONS = (
    Question(
        "1.p1",
        "Where is the score of a one-dimensional Gaussian longest?",
        (
            Option("At the mean, where the density is largest.", "There it is zero: the top of a hill is level."),
            Option(
                "One standard deviation from the mean, where the density is steepest.",
                "That is where the density is steepest. The score is the slope of its logarithm, and a logarithm makes much "
                "of little: the next figure shows it.",
            ),
            Option(
                "It grows without end as you go away.",
                "The log-density is a parabola: the further out, the steeper.",
                right=True,
            ),
        ),
    ),
    Question(
        "1.p2",
        "5,000 points lie anywhere in a cube of 6 dimensions, each axis cut into 10. What share of the cells holds a point?",
        (
            Option(
                "About a half.",
                "So it is in 4 dimensions, with 10,000 cells (39 in 100). Each further axis makes it ten times as many.",
            ),
            Option(
                "About 5 in 100.",
                "There are 1,000,000 cells and 5,000 points: count again, if every point had a cell of its own.",
            ),
            Option("At most 5 in 1,000.", "5,000 points cannot lie in more than 5,000 of 1,000,000 cells.", right=True),
        ),
    ),
    Question(
        "1.p3",
        "A network learns the score from 5,000 noisy points of two separate modes. Where will it be most wrong?",
        (
            Option(
                "At the modes, where the score changes its sign.",
                "There it sees hundreds of points in every training step, and a change of sign is easy for it.",
            ),
            Option(
                "In the gap between the modes.",
                "The loss is a mean over the data, and no datum lies there, so nothing tells the network what to say.",
                right=True,
            ),
            Option(
                "Equally everywhere.",
                "It would be so if the loss asked equally everywhere. It asks where the data are.",
            ),
        ),
    ),
    Question(
        "1.p4",
        "Walkers start in pure noise, in 30 dimensions, and climb along the score of two modes. How many of those with the "
        "learned compass end at another mode than they would with the exact one?",
        (
            Option("Next to none.", "So it is in the plane. Look what happens as dimensions are added."),
            Option("About 1 in 10.", "So it is somewhere between 5 and 10 dimensions. There are more to come."),
            Option(
                "Between 4 and 5 in 10, about as many as if they had tossed a coin.",
                "The start lies so far from all data that what the compass says there was never trained.",
                right=True,
            ),
        ),
    ),
    Question(
        "1.a",
        "Why can the score be computed without the constant that makes a density integrate to 1?",
        (
            Option(
                "Because the constant is close to 1.",
                "It can be any positive number, and for a neural network's energy nobody knows it.",
            ),
            Option(
                "Because log(p/Z) = log p − log Z, and the gradient of log Z with respect to x is 0.",
                "That is why scores can be learned where densities cannot.",
                right=True,
            ),
            Option(
                "Because it is averaged away by the training data.",
                "No data are needed: it is gone as soon as the gradient is taken.",
            ),
        ),
    ),
    Question(
        "1.b",
        "The training target at a noisy point x̃ that came from x is −(x̃ − x)/σ². What is it?",
        (
            Option(
                "The conditional score, given x. Its mean over all x that could have led to x̃ is the score of q_σ.",
                "And a network trained by squared error learns just this mean.",
                right=True,
            ),
            Option(
                "The score of the noisy distribution q_σ at x̃.",
                "Two data points can lead to the same x̃ with two different targets, and q_σ has but one score there.",
            ),
            Option(
                "The score of the clean data at x.",
                "The clean data's score does not enter anywhere; it need not even exist.",
            ),
        ),
    ),
    Question(
        "1.c",
        "Suppose much larger noise is added to the data before training. What happens to the gap, and to the scores?",
        (
            Option(
                "The gap fills with noisy points, and the scores become shorter.",
                "The length goes as 1/σ. The price is blur: the modes melt together. The next notebook takes many levels at "
                "once, and pays no such price.",
                right=True,
            ),
            Option(
                "The gap fills with noisy points, and the scores become longer.",
                "It fills. But a wide, flat hill has gentle slopes: the length goes as 1/σ.",
            ),
            Option(
                "The gap stays empty, because the noise is symmetric.",
                "A point of either mode, moved by a distance like the gap's width, lands in the gap.",
            ),
        ),
    ),
)
