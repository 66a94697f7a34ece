# %% [markdown]
# # 2 · A noise-conditioned score network
# {{badge}}
#
# **About 55 minutes**, of which your computer works for about one; no GPU is needed.
# You should have done [notebook 1](01_score_estimation_low_density.ipynb), or know what a score is and why it cannot be learned
# where there are no data.
#
# When you are done you can
#
# - lay out noise levels from coarse to fine, and say why their *ratio* is constant;
# - prove, and show in numbers, what the denoising target has to do with the score;
# - build a network that is told the noise level, and train it on all levels at once;
# - measure how good its scores are at each level, and say when the loss hides that they are bad.
#
# How it goes: you **predict**, then **write** a function, then **check** it, then **look**. `check("2.1", f)` compares your
# function with an independent truth and tells you what is off. If you are stuck, open a hint, or simply go on: `.use` hands
# back your own function if it passes, and otherwise the library's, so every later cell runs. Questions are answered by putting
# a letter in place of the dots.

# %%
# {{setup}}

# %%
import math

import torch
from torch import nn

from ncsn import GaussianMixtureScore, eight_gaussians, toy_mixture
from ncsn.learn import check, gate, quiz, whose
from ncsn.learn.scenes import draw_by_level, draw_clouds, draw_targets
from ncsn.plan import largest_distance
from ncsn.plots import plot_learned_and_exact

# %% [markdown]
# ## Fog
#
# Notebook 1 ended in a dilemma. A compass can only be learned where there are data, and there are hardly any anywhere. Noise
# spreads the data over the empty space, but blurs them.
#
# Picture a village at night, with a lamp in every house. You stand miles away and see nothing: darkness has no direction. Now
# **fog** comes up. It catches the light, and from far off you see a glow: *there* is the village. The fog says where to go. Of
# the houses it shows nothing. As you come nearer, let the fog thin out: the glow breaks up into streets, then into houses, and
# in clear air, at the door, you can read the name on it.
#
# So there is no one right amount of fog. There is a right amount for every distance. **Take all of them, from thick to thin**,
# and learn one compass that is told how thick the fog is. That is the idea of the noise-conditional score network (Song & Ermon
# 2019): a network $s_\theta(x, \sigma)$ for the scores of all
#
# $$ q_\sigma(\tilde x) = \int p(x)\, \mathcal N(\tilde x \mid x, \sigma^2 I)\, dx, $$
#
# the data's distribution $p$ in fog of thickness $\sigma$.
#
# Our village has eight houses on a circle. Each is a Gaussian of standard deviation 0.1, the circle's radius is 1.4: three
# scales in one picture (the whole, the circle with its gaps, the house). As the density is known, so is the exact score in any
# fog.

# %%
data = eight_gaussians(5000, torch.Generator().manual_seed(0))
village = toy_mixture("eight_gaussians")
exact = GaussianMixtureScore(
    *(torch.as_tensor(part).float() for part in (village.weights, village.means, village.covariances))
)
exact

# %% [markdown]
# ### Predict
#
# {{question 2.p1}}

# %%
quiz("2.p1", "b")  ### SOLUTION "b"

# %% [markdown]
# ### Exercise 2.1: noise levels from coarse to fine (5 minutes)
#
# What should the step from one level to the next be? To walk from one fog into the next, the next must not be a surprise: the
# two clouds have to overlap well. Noise of level $\sigma$ in $D$ dimensions lies in a shell of radius about $\sigma\sqrt D$ and
# a thickness in proportion to $\sigma$. Whether the shells of $\sigma_i$ and $\sigma_{i+1}$ overlap thus depends on
# $\sigma_i / \sigma_{i+1}$ only. So keep the **ratio** constant: a *geometric* schedule,
#
# $$ \sigma_\text{max} = \sigma_1 > \sigma_2 > \dots > \sigma_L = \sigma_\text{min}, \qquad
#    \frac{\sigma_1}{\sigma_2} = \frac{\sigma_2}{\sigma_3} = \dots = \frac{\sigma_{L-1}}{\sigma_L}. $$
#
# <details><summary>Hint 1: where to begin</summary>
#
# If ratios are constant, what do the logarithms do?
#
# </details>
# <details><summary>Hint 2: count the steps</summary>
#
# From the first of L levels to the last lead L − 1 steps. Both ends belong to the schedule.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# `torch.linspace` lays out L evenly spaced numbers, ends included. Give it the logarithms of the two ends, the larger first,
# and undo the logarithm afterwards.
#
# </details>


# %%
def noise_levels(sigma_min, sigma_max, n_levels):
    """Return n_levels (at least 2) geometric noise levels from sigma_max down to sigma_min, both included, as a tensor (L,)."""
    ### BEGIN SOLUTION
    return torch.linspace(math.log(sigma_max), math.log(sigma_min), n_levels).exp()
    ### END SOLUTION


# %%
noise_levels = check("2.1", noise_levels).use

# %% [markdown]
# Which ends? The thickest fog has to bridge the farthest houses, so $\sigma_\text{max}$ is about the **largest distance** in
# the data (Song & Ermon 2020). The thinnest should show all there is to see. For now be "on the safe side" and go very far
# down; you will find out at the end of this notebook what that is worth.

# %%
print(f"largest distance in the data: {largest_distance(data):.2f}")
sigmas = noise_levels(sigma_min=0.001, sigma_max=4.0, n_levels=22)
print("levels:", *(f"{sigma:.3g}" for sigma in sigmas.tolist()))
print(f"ratio of neighbours: {float(sigmas[0] / sigmas[1]):.3f}")

# %% [markdown]
# ### Exercise 2.2: let the fog come up (5 minutes)
#
# In training, every point of a batch gets a level of its own: $\tilde x = x + \sigma z$, with $z \sim \mathcal N(0, I)$ given.
#
# <details><summary>Hint 1: where to begin</summary>
#
# The formula is the answer, but for the shapes: sigma is (N,), the rest is (N, D).
#
# </details>
# <details><summary>Hint 2: how broadcasting lines up</summary>
#
# PyTorch lines shapes up from the *right*: (N,) meets the D of (N, D). Where N happens to equal D there is not even an error,
# and every *column* gets its own level.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# Indexing with `[:, None]` gives sigma a second axis of length 1, which stretches over the D columns.
#
# </details>


# %%
def add_noise(x, sigma, noise):
    """Return the noisy points; x and noise are (N, D), sigma is (N,), one level for each row."""
    ### BEGIN SOLUTION
    return x + sigma[:, None] * noise
    ### END SOLUTION


# %%
add_noise = check("2.2", add_noise).use

# %% [markdown]
# **Look.** Above, the fog of 2.2 at four levels; below, draws from the exact $q_\sigma$. Each column has a window of its own.

# %%
shown = torch.tensor([4.0, 1.0, 0.3, 0.03])
generator = torch.Generator().manual_seed(1)
noise = torch.randn(data.shape, generator=generator)
yours = {f"σ = {sigma:g}": add_noise(data, sigma.expand(len(data)), noise) for sigma in shown}
reference = {f"σ = {sigma:g} ": exact.sample(5000, generator, sigma) for sigma in shown}
figure = draw_clouds({whose("2.2"): yours, "exact": reference})

spread = (exact.covariance.trace() / 2 + shown**2).sqrt()
measured = torch.stack([cloud.std(dim=0).square().mean().sqrt() for cloud in yours.values()])
gate("2.2", ((measured - spread) / spread).abs().max())

# %% [markdown]
# *What the picture shows:* at σ = 4 one round glow, at 1 still one blob with a flat middle, at 0.3 a ring, and at 0.03 eight
# houses. Coarse things first.
#
# ## What should the network aim at?
#
# The score of $q_\sigma$ is an integral over the unknown $p$, so we cannot write it down. For a *single* clean point we can:
#
# $$ \nabla_{\tilde x} \log \mathcal N(\tilde x \mid x, \sigma^2 I) = -\frac{\tilde x - x}{\sigma^2} = -\frac{z}{\sigma}. $$
#
# > **Note.** In some lectures you will find "$\nabla_{\tilde x} \log q_\sigma(\tilde x) = -(\tilde x - x)/\sigma^2$". Look at
# > the two sides: the right one depends on $x$, the left one does not. The right side is the **conditional** score,
# > $\nabla \log q_\sigma(\tilde x \mid x)$: an arrow from the noisy point back to the one house that it came from. The network
# > never sees which house that was.
#
# Why does training on the wrong target give the right answer? In two steps.
#
# **1. The score is the mean of the arrows.** Differentiate $q_\sigma$ under the integral, and use
# $\nabla f = f\, \nabla \log f$:
#
# $$ \nabla q_\sigma(\tilde x) = \int p(x)\, \nabla q_\sigma(\tilde x \mid x)\, dx
#    = \int p(x)\, q_\sigma(\tilde x \mid x)\; \nabla \log q_\sigma(\tilde x \mid x)\, dx. $$
#
# Divide by $q_\sigma(\tilde x)$. On the left stands the score. On the right,
# $p(x)\, q_\sigma(\tilde x \mid x) / q_\sigma(\tilde x)$ is, by Bayes' rule, the probability $p(x \mid \tilde x)$ that the
# noisy point came from $x$. So
#
# $$ \boxed{\;\nabla \log q_\sigma(\tilde x)
#    = \mathbb E\left[\, \nabla \log q_\sigma(\tilde x \mid x) \;\middle|\; \tilde x \,\right]\;} $$
#
# **2. Squared error finds means.** Among all functions of $\tilde x$, the one with the smallest
# $\mathbb E \lVert s(\tilde x) - t \rVert^2$ is $s(\tilde x) = \mathbb E[t \mid \tilde x]$ (notebook 1 split the square to show
# it). With the arrows for $t$, that is the score. ∎
#
# ### Predict
#
# {{question 2.p2}}

# %%
quiz("2.p2", "c")  ### SOLUTION "c"

# %% [markdown]
# ### Exercise 2.3: see it in numbers (10 minutes)
#
# Do the regression by hand, on a line: cut the line into bins, and average all arrows $-(\tilde x - x)/\sigma^2$ whose noisy
# point lies in the same bin. If the proof is right, the score of $q_\sigma$ comes out, although no single arrow equals it.
#
# <details><summary>Hint 1: where to begin</summary>
#
# First all arrows at once, (N,). Then a loop over the bins.
#
# </details>
# <details><summary>Hint 2: which arrows</summary>
#
# Those whose *noisy* point is at least the bin's left edge and below its right one: a comparison gives a mask of True and
# False, and a tensor can be indexed with it.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# There are `len(edges) - 1` bins. Collect the mean of each in a list; `torch.stack` makes a tensor of it.
#
# </details>


# %%
def mean_target(x, noisy, sigma, edges):
    """Return the mean conditional score of the noisy points in each bin, (B,).

    x and noisy are (N,), the clean and the noisy points; sigma is a number; edges is (B + 1,), rising. Bin i reaches
    from edges[i] (included) to edges[i + 1] (not included), and none is empty. Points outside of all bins do not count.
    """
    ### BEGIN SOLUTION
    arrows = (x - noisy) / sigma**2
    means = []
    for i in range(len(edges) - 1):
        inside = (noisy >= edges[i]) & (noisy < edges[i + 1])
        means.append(arrows[inside].mean())
    return torch.stack(means)
    ### END SOLUTION


# %%
mean_target = check("2.3", mean_target).use

# %% [markdown]
# **Look.** Two houses on a line, at −1 (three in ten) and +1 (seven in ten), in fog of σ = 0.6.

# %%
generator = torch.Generator().manual_seed(2)
sigma = 0.6
line = GaussianMixtureScore([0.3, 0.7], [[-1.0], [1.0]], 0.0)
x = line.sample(400_000, generator)[:, 0]
noisy = x + sigma * torch.randn(x.shape, generator=generator)

edges = torch.linspace(-2.5, 2.5, 41)
middles = (edges[1:] + edges[:-1]) / 2
means = mean_target(x, noisy, sigma, edges)
score = line(middles[:, None], sigma)[:, 0]
figure = draw_targets(noisy, (x - noisy) / sigma**2, middles, means, score, whose("2.3"))
gate("2.3", (means - score).abs().max())

# %% [markdown]
# *What the picture shows:* the single arrows lie on two straight lines, one for each house; nothing lies between them. Their
# mean (dots) goes over from one line to the other, on the exact score (dashes). This bend is the score, and no single target
# ever showed it.
#
# ## One loss for all levels
#
# At one level, the loss was the mean square of $s + z/\sigma$. Now many levels share one network, and they do not shout equally
# loud: the arrows are about $1/\sigma$ long, so their squares reach from 0.06 at σ = 4 to 1,000,000 at σ = 0.001. The mean of
# all would be about the smallest level alone. So weight each level with $\sigma^2$:
#
# $$ \sigma^2\, \Big\lVert s_\theta(\tilde x, \sigma) + \frac z\sigma \Big\rVert^2
#    = \big\lVert \sigma\, s_\theta(\tilde x, \sigma) + z \big\rVert^2. $$
#
# Every level now asks for a number of about the size of $z$, which is 1. (Read the right side once more: $-\sigma s$ predicts
# the *noise*. Notebook 4 makes much of it.)
#
# ### Predict
#
# {{question 2.p3}}

# %%
quiz("2.p3", "a")  ### SOLUTION "a"

# %% [markdown]
# ### Exercise 2.4: the loss (10 minutes)
#
# <details><summary>Hint 1: where to begin</summary>
#
# Make the noisy points with `add_noise`, and ask the model there, each row at its own level. `score_model(noisy, sigma)` takes
# sigma as it is, (N,).
#
# </details>
# <details><summary>Hint 2: the shorter way</summary>
#
# The right side of the formula above needs neither a division nor a separate weight.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# sigma needs its second axis wherever it meets something of the shape (N, D). The mean goes over *all* entries, rows and
# columns; the result stays a tensor.
#
# </details>


# %%
def dsm_loss(score_model, x, sigma, noise):
    """Return the mean of sigma² (s + noise / sigma)² over all entries, as a tensor without axes.

    score_model is called as score_model(points, sigma) and returns (N, D); x and noise are (N, D); sigma is (N,), one
    level for each row.
    """
    ### BEGIN SOLUTION
    score = score_model(add_noise(x, sigma, noise), sigma)
    return (sigma[:, None] * score + noise).square().mean()
    ### END SOLUTION


# %%
dsm_loss = check("2.4", dsm_loss).use

# %% [markdown]
# **Look.** A loss is only worth something if you know what its numbers mean, so here are two that are known. A zero score has
# loss 1. The *exact* score of data from $\mathcal N(0, s^2)$, which is $-\tilde x / (s^2 + \sigma^2)$, does not have loss 0:
# what it cannot know about $z$ is left, a share $s^2 / (s^2 + \sigma^2)$. This is the **floor**, and no network gets below it.

# %%
spread = 0.5
generator = torch.Generator().manual_seed(3)
x = spread * torch.randn(100_000, 2, generator=generator)
noise = torch.randn(x.shape, generator=generator)
noise = noise / noise.square().mean().sqrt()  # its mean square is exactly 1, so that four digits mean something


def zero(x, sigma):
    return torch.zeros_like(x)


def oracle(x, sigma):
    return -x / (spread**2 + sigma[:, None] ** 2)


tried = torch.tensor([4.0, 1.0, 0.5, 0.1, 0.01])
zeros = torch.stack([dsm_loss(zero, x, sigma.expand(len(x)), noise) for sigma in tried])
oracles = torch.stack([dsm_loss(oracle, x, sigma.expand(len(x)), noise) for sigma in tried])
floors = spread**2 / (spread**2 + tried**2)
print("sigma   zero score   oracle    s²/(s² + sigma²)")
for row in zip(tried, zeros, oracles, floors, strict=True):
    print("{:5.2f} {:10.4f} {:10.4f} {:12.4f}".format(*row))
gate("2.4", max((zeros - 1).abs().max(), (oracles - floors).abs().max()))

# %% [markdown]
# Look at the last row. At σ = 0.01 the *perfect* score has a loss of 0.9996, and knowing nothing has 1. Keep this in mind.
#
# ## A network that is told how thick the fog is
#
# Three things make it learn well (Song & Ermon 2020), and each of them is about *scale*:
#
# - **What it hears of σ:** the logarithm. From 0.001 to 0.002 the fog changes as much as from 1 to 2. Fed with σ itself, the
#   network could not tell the first two apart.
# - **What it is asked for:** a number of size 1. Scores reach from 0.25 to 1,000; $\sigma s$ is never large. So let the last
#   layer give $F$, and return $F / \sigma$.
# - **What it sees:** points of size 1. Data in thick fog are as wide as the fog. So let it look at
#   $\tilde x / \sqrt{1 + \sigma^2}$ (our data have a standard deviation of about 1).
#
# ### Exercise 2.5: an embedding of the level (5 minutes)
#
# A single number, log σ, is a thin signal. Spread it over several sines and cosines, slow and fast, so that the network can
# pick out what it needs:
# $\big[\sin(f_1 \log\sigma), \dots, \sin(f_F \log\sigma), \cos(f_1 \log\sigma), \dots, \cos(f_F \log\sigma)\big]$.
#
# <details><summary>Hint 1: where to begin</summary>
#
# Every level meets every frequency: a table of N rows and F columns.
#
# </details>
# <details><summary>Hint 2: the table</summary>
#
# (N, 1) times (F,) is (N, F). Torch's `log` is the natural one.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# `torch.cat` joins the table's sines and its cosines along `dim=1`.
#
# </details>


# %%
def embed(sigma, frequencies):
    """Return the embedding (N, 2F) of levels (N,): the sines of log sigma times each frequency (F,), then the cosines."""
    ### BEGIN SOLUTION
    angles = sigma.log()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
    ### END SOLUTION


# %%
embed = check("2.5", embed).use

# %% [markdown]
# ### Exercise 2.6: the network (10 minutes)
#
# Three hidden layers of `width` units do. The input of the first is the scaled point beside the embedding of its level,
# `dim + 12` numbers; the last one gives `dim` numbers; divide these by sigma. In between, `nn.SiLU()` is a good smooth
# non-linearity.
#
# <details><summary>Hint 1: where to begin</summary>
#
# In `__init__`, an `nn.Sequential` of `nn.Linear` and `nn.SiLU`, kept as an attribute of `self`. In `forward`, prepare its
# input, call it, and scale what comes out.
#
# </details>
# <details><summary>Hint 2: the input</summary>
#
# Scale x by the root of 1 + sigma², with sigma as a column, (N, 1), and join it with `embed(sigma, self.frequencies)` along
# `dim=1`.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# No non-linearity after the last layer: scores have both signs. Return what comes out divided by the column of sigmas.
#
# </details>


# %%
class ScoreNetwork(nn.Module):
    """A score network s(x, sigma) for points of about unit spread."""

    def __init__(self, dim=2, width=128):
        super().__init__()
        # six frequencies, from 1/8 to 4, which move along with the network but are not trained
        self.register_buffer("frequencies", 2.0 ** torch.arange(-3, 3))
        ### BEGIN SOLUTION
        self.layers = nn.Sequential(
            nn.Linear(dim + 12, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, dim),
        )
        ### END SOLUTION

    def forward(self, x, sigma):
        """Return the score (N, D) at points x (N, D); sigma is one level a row, (N,), or a single one for all."""
        sigma = sigma.expand(len(x))
        ### BEGIN SOLUTION
        level = sigma[:, None]
        scaled = x / (1 + level**2).sqrt()
        return self.layers(torch.cat([scaled, embed(sigma, self.frequencies)], dim=1)) / level
        ### END SOLUTION


# %%
ScoreNetwork = check("2.6", ScoreNetwork).use

# %% [markdown]
# ## Training
#
# ### Exercise 2.7: one step (5 minutes)
#
# <details><summary>Hint 1: where to begin</summary>
#
# The loss of the batch, with `dsm_loss`. Then three calls, each without arguments.
#
# </details>
# <details><summary>Hint 2: the three calls</summary>
#
# PyTorch *adds* each gradient to what is there already. So: clear, compute, step.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# `optimizer.zero_grad()`, `loss.backward()`, `optimizer.step()`, and the loss as a plain number is `loss.item()`.
#
# </details>


# %%
def train_step(network, optimizer, x, sigma, noise):
    """Move the network's weights one step down the gradient of the loss, and return the loss before it, as a number."""
    ### BEGIN SOLUTION
    loss = dsm_loss(network, x, sigma, noise)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
    ### END SOLUTION


# %%
train_step = check("2.7", train_step).use

# %% [markdown]
# Now all together: in each step fresh points, for each of them a level drawn from the schedule, and fresh noise. This takes
# about a quarter of a minute.

# %%
torch.manual_seed(0)
network = ScoreNetwork(dim=2, width=128)
optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
n_steps = 2500
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
losses = []
for step in range(1, n_steps + 1):
    batch = data[torch.randint(len(data), (512,))]
    level = sigmas[torch.randint(len(sigmas), (512,))]
    losses.append(train_step(network, optimizer, batch, level, torch.randn_like(batch)))
    schedule.step()
    if step % 500 == 0:
        print(f"step {step:,}: mean loss of the last 500 steps {sum(losses[-500:]) / 500:.3f}")
network = network.requires_grad_(False).eval()

# %% [markdown]
# The loss barely moves, and it settles far from 0. Is that good or bad? The loss cannot say: most of it is floor. But here we
# have the truth, so **measure**: the relative error of notebook 1,
# $\mathbb E\lVert s - s^*\rVert^2 / \mathbb E\lVert s^*\rVert^2$, over fresh noisy points at each level. 0 is exact; a network
# that answers zero has 1.

# %%
fresh = exact.sample(20_000, torch.Generator().manual_seed(4))


def relative_error(score_model, sigma):
    """Return E|s - s*|² / E|s*|² over noisy points of the level, as in notebook 1."""
    noise = torch.randn(fresh.shape, generator=torch.Generator().manual_seed(5))
    noisy = fresh + sigma * noise
    truth = exact(noisy, sigma)
    return float((score_model(noisy, sigma) - truth).square().sum() / truth.square().sum())


def length(sigma):
    """Return the root mean square length of the exact score."""
    noisy = exact.sample(20_000, torch.Generator().manual_seed(6), sigma)
    return float(exact(noisy, sigma).square().sum(dim=1).mean().sqrt())


measured = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.3, 0.2, 0.1])
errors = [relative_error(network, sigma) for sigma in measured]
print("sigma   length of the score   relative error")
for sigma, error in zip(measured.tolist(), errors, strict=True):
    print(f"{sigma:5.2f} {length(sigma):13.2f} {error:19.3f}")
gate("2.7a", max(errors))

# %% [markdown]
# One network, and reliable scores at every level: *measured*, not hoped. (Look at the lengths, too. The thicker the fog, the
# shorter the arrows; you can read the opposite in places.)
#
# **Look.** Above the learned field, in the middle the exact one, below where they differ.

# %%
figure = plot_learned_and_exact(
    network, exact, torch.tensor([4.0, 1.0, 0.3, 0.1]), fresh, generator=torch.Generator().manual_seed(7)
)

# %% [markdown]
# *What the picture shows:* from left to right the compass learns to see. At σ = 4 all arrows point to the middle of the
# village. At σ = 1 still nearly so. At 0.3 they point to the ring, from within and from without; at 0.1 each points to its
# house. What error there is lies on the watersheds between the houses, where an arrow has to turn over within a small distance,
# and where few points tell it so. (The figure's error is $\lVert s - s^*\rVert^2 \sigma^2 / D$, in units of the noise; the
# table's is in units of the score.)
#
# ## What the loss hides
#
# The table ended at σ = 0.1, and the schedule does not: it goes down to 0.001, "on the safe side".
#
# ### Predict
#
# {{question 2.p4}}

# %%
quiz("2.p4", "c")  ### SOLUTION "c"

# %%
deep = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001])
noise = torch.randn(fresh.shape, generator=torch.Generator().manual_seed(8))
noise = noise / noise.square().mean().sqrt()
loss = [float(dsm_loss(network, fresh, sigma.expand(len(fresh)), noise)) for sigma in deep]
floor = [float(dsm_loss(exact, fresh, sigma.expand(len(fresh)), noise)) for sigma in deep]
errors = [relative_error(network, sigma) for sigma in deep]
print("sigma      loss     floor   relative error")
for row in zip(deep.tolist(), loss, floor, errors, strict=True):
    print("{:5.3f} {:9.4f} {:9.4f} {:12.3f}".format(*row))

figure = draw_by_level(
    deep,
    {
        "loss": {"learned": loss, "floor: exact score": floor},
        "relative score error": {"learned": errors, "a zero score": [1.0] * len(deep)},
    },
    linear=["loss"],
    shade_below=0.02,
    shade_name="fog thinner than a fifth of a house",
)

# %% [markdown]
# *What the picture shows:* left, the loss lies on its floor from end to end; a perfect training run, it seems. Right, the error
# climbs as σ falls, and at the last levels the network is **worse than one that answers zero**. Both are true. With
# $F / \sigma$ an error of 0.03 in $F$ costs the loss 0.001, and is an error of 30 in the score at σ = 0.001, where the exact
# score is about 14 long.
#
# The reason is not the network. Below the finest scale of the data, here the width 0.1 of a house, the fog is thinner than what
# it hides: nearly all of the noise is unpredictable, and the loss is all floor. So **tie the smallest level to the finest scale
# of the data**, not to a constant. A fifth of it is enough: at 0.02 the fog adds 2% to the width of a house.

# %%
gate("2.7b", relative_error(network, torch.tensor(0.02)))

# %% [markdown]
# There the learned score is still good. All that lies in the shaded stretch was wasted: 8 of our 22 levels. For data of which
# nobody tells you the finest scale, `ncsn.plan.finest_scale(data)` measures it by the spread among nearest neighbours
# (cautiously: here it says 0.03), and `ncsn plan` sets the levels by it.
#
# ## Three questions
#
# {{question 2.a}}

# %%
quiz("2.a", "a")  ### SOLUTION "a"

# %% [markdown]
# {{question 2.b}}

# %%
quiz("2.b", "b")  ### SOLUTION "b"

# %% [markdown]
# {{question 2.c}}

# %%
quiz("2.c", "a")  ### SOLUTION "a"

# %% [markdown]
# ## What to take along
#
# **One network learns reliable scores at every noise level**, when it hears log σ, sees points of size 1, and is asked for
# numbers of size 1. It learns from arrows that are each wrong, and whose mean is right.
#
# And: a loss near its floor proves nothing. Measure the score, level by level, and let the data say how far down to go.
#
# In thick fog you know the way to the village, in thin fog the way to the door. What is left is to *walk*, and to let the fog
# thin out on the way.
#
# Next: [3 · Annealed Langevin dynamics](03_annealed_langevin_dynamics.ipynb)
#
# ### Sources
#
# - Song & Ermon (2019), *Generative modeling by estimating gradients of the data distribution*, NeurIPS: the network, the
#   levels, the weight σ².
# - Song & Ermon (2020), *Improved techniques for training score-based generative models*, NeurIPS: the choice of levels, and
#   F/σ.
# - Vincent (2011), *A connection between score matching and denoising autoencoders*, Neural Computation 23: why the conditional
#   score will do.
