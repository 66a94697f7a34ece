# %% [markdown]
# # 1 · Score estimation and the low-density problem
# {{badge}}
#
# **About 40 minutes**, of which your computer works for less than one; no GPU is needed. You should know what a probability
# density and a gradient are, and have seen PyTorch tensors.
#
# When you are done you can
#
# - say what a score is, and why it acts like a compass;
# - compute the exact score of a Gaussian and of a mixture, far out in the tails, too;
# - say why most of a space of many dimensions is empty;
# - learn a score from data by denoising, and show where it goes wrong, and why.
#
# How it goes: you **predict**, then **write** a function, then **check** it, then **look**. `check("1.1", f)` compares your
# function with an independent truth and tells you what is off. If you are stuck, open a hint, or simply go on: `.use` hands
# back your own function if it passes, and otherwise the library's, so every later cell runs. Questions are answered by putting
# a letter in place of the dots. What you have done is written to `.ncsn/progress.json` beside this notebook and sent nowhere.

# %%
# {{setup}}

# %%
import torch
from torch import nn

from ncsn import GaussianMixtureScore, load
from ncsn.learn import check, gate, quiz, whose
from ncsn.learn.drawing import draw_curves, draw_error_map, draw_fields, draw_walks

torch.set_num_threads(1)  # networks as small as these run fastest on one core

# %% [markdown]
# ## The compass
#
# You stand somewhere in a landscape whose height is log p(x): high where data are common, low where they are rare. It is night.
# You cannot see the landscape, but you carry a compass whose needle points straight uphill, and the steeper the slope, the
# longer the needle. That needle is the **score**:
#
# $$ s(x) = \nabla_x \log p(x). $$
#
# With it you can walk from anywhere to where the data are, and that is most of what a generative model has to do. The score also
# asks for less than the density does: write $p(x) = \tilde p(x) / Z$ with the constant $Z$ that makes it integrate to 1. Then
# $\nabla_x \log p = \nabla_x \log \tilde p - \nabla_x \log Z = \nabla_x \log \tilde p$. The constant, which nobody can compute
# for a neural network, is gone.
#
# ### Predict
#
# {{question 1.p1}}

# %%
quiz("1.p1", "c")  ### SOLUTION "c"

# %% [markdown]
# ### Exercise 1.1: the score of a Gaussian (5 minutes)
#
# The log-density of $\mathcal N(\mu, \sigma^2 I)$ is
#
# $$ \log p(x) = -\frac{\lVert x - \mu \rVert^2}{2\sigma^2} + \text{constant}. $$
#
# Take its gradient with respect to $x$, and write it as a function of a batch.
#
# <details><summary>Hint 1: where to begin</summary>
#
# The constant falls away. What is the gradient of ‖x − μ‖² with respect to x?
#
# </details>
# <details><summary>Hint 2: what to expect</summary>
#
# An arrow at every point, towards the mean: zero at the mean, and in proportion to the distance. A narrow Gaussian pulls
# harder.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# The 2 of the derivative cancels the ½. What is left is the way from x to the mean, divided by the variance. `mean` has the
# shape (D,) and lines up with the last axis of `x` by itself.
#
# </details>


# %%
def gaussian_score(x, mean, std):
    """Return the score of N(mean, std² I) at each row of x.

    x is (N, D), mean is (D,), std is a number; the result is (N, D).
    """
    ### BEGIN SOLUTION
    return (mean - x) / std**2
    ### END SOLUTION


# %%
gaussian_score = check("1.1", gaussian_score).use

# %% [markdown]
# **Look.** Left the density, in the middle its logarithm, right the score, beside the slope of the curve in the middle,
# taken by differences of neighbouring values. They should lie on each other.

# %%
x = torch.linspace(-4, 4, 401)[:, None]
normal = torch.distributions.Normal(0.0, 1.0)
slope = torch.gradient(normal.log_prob(x[:, 0]), spacing=(x[:, 0],))[0]
figure = draw_curves(
    x[:, 0],
    {
        "density p": {"p": normal.log_prob(x[:, 0]).exp()},
        "log-density log p": {"log p": normal.log_prob(x[:, 0])},
        "score": {whose("1.1"): gaussian_score(x, torch.zeros(1), 1.0)[:, 0], "slope of log p": slope},
    },
)

# %% [markdown]
# At x = 4 the density has all but vanished, and yet the score is as clear as anywhere: the compass works where the density is
# too small to see. At least it does when we *know* the density.
#
# ## Two hills
#
# Data come in kinds. The simplest density with two of them is a mixture, $p(x) = \sum_k w_k\, p_k(x)$ with $p_k = \mathcal
# N(\mu_k, \sigma^2 I)$. Its score follows from the chain rule:
#
# $$ \nabla \log p = \frac{\sum_k w_k \nabla p_k}{p}
#    = \sum_k \underbrace{\frac{w_k\, p_k(x)}{p(x)}}_{r_k(x)}\, \nabla \log p_k(x). $$
#
# Each component has its own compass, and $r_k(x)$, the *responsibility*, says how much it has to say at $x$: the probability
# that a point found at $x$ came from component $k$.
#
# ### Exercise 1.2: the score of a mixture (10 minutes)
#
# Mind the tails. At x = 50, with modes at ±3 and σ = 0.5, both densities are exp(−4418) or less, which is 0 in any
# floating-point format; the score there is −188. So stay with logarithms: with $\ell_k = \log w_k - \lVert x - \mu_k\rVert^2 /
# 2\sigma^2$ the responsibilities are $r_k = \exp(\ell_k - \operatorname{logsumexp}_j \ell_j)$.
#
# <details><summary>Hint 1: shapes</summary>
#
# Every point meets every component: `means - x[:, None, :]` has the shape (N, K, D) and holds the ways from each point to each
# mean.
#
# </details>
# <details><summary>Hint 2: responsibilities</summary>
#
# Sum the squared ways over D for the ℓ's, of shape (N, K). `torch.logsumexp(..., dim=1, keepdim=True)` or `torch.softmax(...,
# dim=1)` makes responsibilities of them, whatever their size.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# The answer is the mean of the component scores, each the way to its mean over σ², weighted by the responsibilities: give these
# a last axis of length 1, multiply, and sum over the components.
#
# </details>


# %%
def mixture_score(x, weights, means, std):
    """Return the score of the mixture of N(means[k], std² I) at each row of x.

    x is (N, D), weights is (K,) and sums to 1, means is (K, D), std is a number; the result is (N, D).
    """
    ### BEGIN SOLUTION
    ways = means - x[:, None, :]
    logits = weights.log() - ways.square().sum(dim=-1) / (2 * std**2)
    responsibilities = torch.softmax(logits, dim=1)
    return (responsibilities[..., None] * ways).sum(dim=1) / std**2
    ### END SOLUTION


# %%
mixture_score = check("1.2", mixture_score).use

# %% [markdown]
# **Look.** From here on the world has two hills in the plane, at (−3, 0) and (3, 0), each with a standard deviation of 0.5;
# four in five points belong to the right one. `GaussianMixtureScore` is the library's exact score, called as `exact(x, sigma)`
# for data to which noise of level sigma was added. With 0 the two fields should be the same.

# %%
weights = torch.tensor([0.2, 0.8])
means = torch.tensor([[-3.0, 0.0], [3.0, 0.0]])
exact = GaussianMixtureScore(weights, means, 0.5**2)
data = exact.sample(5000, torch.Generator().manual_seed(0))

figure = draw_fields(
    {whose("1.2"): lambda x: mixture_score(x, weights, means, 0.5), "exact": lambda x: exact(x, 0.0)}, data
)

# %% [markdown]
# Two fields, and a watershed between them, close to x₁ = 0 (a little to the left, as the right hill has more weight). Near the
# watershed the scores are *long*, about 12 in length (the figure shortens long arrows, so that short ones can be seen beside them),
# and two steps to the side, the pull reverses. A network will have to learn this turn from data. Which data?
#
# ## The empty space
#
# Images, sounds and tables have many dimensions, and hardly any point of those spaces looks like data. The **manifold
# hypothesis** says that data fill only thin sheets of it, with far fewer dimensions than the space. But space is empty even
# without it, and counting is enough to see this.
#
# ### Predict
#
# {{question 1.p2}}

# %%
quiz("1.p2", "c")  ### SOLUTION "c"

# %% [markdown]
# ### Exercise 1.3: how much of space is occupied (5 minutes)
#
# Cut each axis of the unit cube into `bins` equal pieces, which makes `bins ** D` cells. What share of the cells holds at least
# one of the points?
#
# <details><summary>Hint 1: where to begin</summary>
#
# In which piece of its axis does a coordinate lie? Multiply by `bins` and round down.
#
# </details>
# <details><summary>Hint 2: counting cells</summary>
#
# A cell is a row of D whole numbers. `torch.unique(..., dim=0)` keeps each row once.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# The length of what is left, divided by the number of all cells. In 20 dimensions that number is too large for a tensor of
# integers; Python's own numbers do not mind.
#
# </details>


# %%
def occupied_share(points, bins):
    """Return the share of the cells that hold a point, as a number.

    points is (N, D) with values from 0 to 1 (not included); each axis is cut into `bins` pieces.
    """
    ### BEGIN SOLUTION
    cells = torch.unique((points * bins).floor(), dim=0)
    return len(cells) / bins ** points.shape[1]
    ### END SOLUTION


# %%
occupied_share = check("1.3", occupied_share).use

# %% [markdown]
# **Look.** 5,000 points anywhere in the cube, 10 pieces an axis. The reference is the expected share, $1 - (1 -
# 10^{-D})^{5000}$.

# %%
dimensions = range(1, 9)
generator = torch.Generator().manual_seed(0)
shares = [occupied_share(torch.rand(5000, dim, generator=generator), 10) for dim in dimensions]
expected = -torch.expm1(5000 * torch.log1p(-(10.0 ** -torch.arange(1, 9, dtype=torch.float64))))
figure = draw_curves(
    dimensions,
    {"share of occupied cells": {whose("1.3"): shares, "expected": expected}},
    "dimensions",
    marker="o",
    logy=True,
)
gate("1.3", shares[5])

# %% [markdown]
# And these points were spread as evenly as chance allows. Real data keep to far less. Take the 1,797 handwritten digits of 8 ×
# 8 pixels, and call each pixel just dark or light: a cube of 64 dimensions with two pieces an axis.

# %%
digits = torch.as_tensor(load("digits").values).flatten(1).float()
digits = (digits - digits.min()) / (digits.max() - digits.min()) * 0.999
print(f"{len(digits):,} digits occupy a share of {occupied_share(digits, 2):.0e} of {2**64:.0e} cells")
variances = torch.linalg.svdvals(digits - digits.mean(0)).square()
print(f"{int((variances.cumsum(0) / variances.sum() < 0.9).sum()) + 1} of 64 directions hold 90% of their variance")

# %% [markdown]
# One cell in 10¹⁶, and a third of the directions hold nearly all that varies. Wherever a sampler starts in such a space, it
# starts where no data ever were. It has to rely on its compass there.
#
# ## Learning the compass
#
# When the density is unknown, the score has to be learned from points. **Denoising score matching** (Vincent 2011) does it with
# a detour: add noise of a known size, $\tilde x = x + \sigma z$ with $z \sim \mathcal N(0, I)$, and learn the score of the
# noisy points' distribution $q_\sigma$. For one pair, the way back is known:
#
# $$ \nabla_{\tilde x} \log q_\sigma(\tilde x \mid x) = -\frac{\tilde x - x}{\sigma^2} = -\frac{z}{\sigma}. $$
#
# > **Note.** This is the *conditional* score, given the clean point $x$, although it is often printed as if it were the score
# > of $q_\sigma$. The two differ: many $x$ can lead to the same $\tilde x$, each with another arrow. The score of $q_\sigma$ is
# > the mean of these arrows, $\nabla \log q_\sigma(\tilde x) = \mathbb E[-(\tilde x - x)/\sigma^2 \mid \tilde x]$, the very sum
# > over responsibilities that you wrote in exercise 1.2, with data points for means.
#
# Why may one train on the conditional score, then? Because squared error finds means. For any function $s$,
#
# $$ \mathbb E \lVert s(\tilde x) - \nabla\log q_\sigma(\tilde x \mid x)\rVert^2
#    = \mathbb E \lVert s(\tilde x) - \nabla\log q_\sigma(\tilde x)\rVert^2 + \text{something without } s : $$
#
# split the left arrow into its mean given $\tilde x$ and the rest; the rest has mean zero given $\tilde x$, so the mixed term
# vanishes. The last part is noise in the target. It does not go away, so the loss does not go to 0 however good the network is.
#
# ### Exercise 1.4: the loss at one noise level (5 minutes)
#
# Write the left-hand side for a batch of clean points and of noise that are handed in, with a mean over all points and
# coordinates in place of the expectation.
#
# <details><summary>Hint 1: where to begin</summary>
#
# Make the noisy points first, and ask the network there.
#
# </details>
# <details><summary>Hint 2: the target</summary>
#
# The arrow from the noisy point back to the clean one, over σ². How long is it, in terms of `noise`?
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# The mean, over all points and coordinates, of the squared difference between the network's answer and −noise / sigma. It must
# stay a tensor, or PyTorch cannot differentiate it.
#
# </details>


# %%
def dsm_loss(score, x, noise, sigma):
    """Return the denoising score matching loss, the mean over all entries, as a tensor without axes.

    score is called as score(points) and returns the shape of its points; x and noise are (N, D); sigma is a number.
    """
    ### BEGIN SOLUTION
    noisy = x + sigma * noise
    target = -noise / sigma
    return (score(noisy) - target).square().mean()
    ### END SOLUTION


# %%
dsm_loss = check("1.4", dsm_loss).use

# %% [markdown]
# ### Predict
#
# A small network will now see 5,000 points and learn from them, at the single level σ = 0.3.
#
# {{question 1.p3}}

# %%
quiz("1.p3", "b")  ### SOLUTION "b"


# %%
def train(data, sigma, steps=2000, seed=0):
    """Return a small network trained with your loss; about a second."""
    torch.manual_seed(seed)
    dim = data.shape[1]
    network = nn.Sequential(nn.Linear(dim, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, dim))
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        batch = data[torch.randint(len(data), (256,))]
        loss = dsm_loss(network, batch, torch.randn_like(batch), sigma)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.requires_grad_(False)


sigma = 0.3
learned = train(data, sigma)

# %% [markdown]
# ### Exercise 1.5: how wrong is it? (5 minutes)
#
# The network learned the score of the *noisy* points, so this is what to compare it with: `exact(x, sigma)`, not `exact(x, 0)`.
# The two differ by a quarter here, and a perfect network would seem to fail against the second.
#
# As a measure take the relative error $\mathbb E\lVert s - s^*\rVert^2 / \mathbb E\lVert s^*\rVert^2$, where the means run over
# the points that are given: 0 is exact, 1 is as wrong as answering 0 everywhere.
#
# <details><summary>Hint 1: where to begin</summary>
#
# Each mean is over rows of squared lengths. How many rows there are cancels.
#
# </details>
# <details><summary>Hint 2: a trap</summary>
#
# Dividing row by row and averaging then is something else: at the top of a hill the exact score is 0, and that row alone would
# decide.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# One sum of squares over all entries of the difference, one over all entries of the exact score, and their quotient.
#
# </details>


# %%
def relative_error(estimate, exact):
    """Return E|estimate - exact|² / E|exact|² over the rows given, as a number; both are (N, D)."""
    ### BEGIN SOLUTION
    return float((estimate - exact).square().sum() / exact.square().sum())
    ### END SOLUTION


# %%
relative_error = check("1.5", relative_error).use

# %% [markdown]
# First where the noisy data are, which is what training sees:

# %%
noisy = exact.sample(20_000, torch.Generator().manual_seed(1), sigma)
print(f"in the gap, |x₁| < 1, lie {int((data[:, 0].abs() < 1).sum())} of {len(data):,} data points (expected: 0.16)")
gate("1.5a", relative_error(learned(noisy), exact(noisy, sigma)))

# %% [markdown]
# A fine result, one would say, and so would the loss. Now along the line from one hill to the other, through the gap:

# %%
line = torch.stack([torch.linspace(-4.5, 4.5, 901), torch.zeros(901)], dim=1)
along = GaussianMixtureScore(weights, means[:, :1], 0.5**2)
figure = draw_curves(
    line[:, 0],
    {
        "score along x₁, at x₂ = 0": {"learned": learned(line)[:, 0], "exact": exact(line, sigma)[:, 0]},
        "noisy points in a strip 0.1 wide, of 5,000": {"expected": 500 * along.log_density(line[:, :1], sigma).exp()},
    },
    "x₁",
    shade=(-1, 1),
)
wrong = (learned(line) - exact(line, sigma)).norm(dim=1)
gap, modes = line[:, 0].abs() < 1, (line[:, 0].abs() - 3).abs() < 1
gate("1.5b", wrong[gap].mean() / wrong[modes].mean())

# %% [markdown]
# On the hills, learned and exact lie on each other. In the shaded gap the exact score falls to −7.6, leaps to 8 within half a unit, and
# falls again; the network draws a smooth line through a place that nobody ever told it about. Note what it does *not* do: it does
# not fall silent. It answers as firmly as anywhere.
#
# The same in the plane, with the error at every place whether data lie there or not:

# %%
figure = draw_error_map(learned, lambda x: exact(x, sigma), data)

# %% [markdown]
# *What the picture shows:* two dark islands of small error, where the data (white dots) are. Around and between them the error is ten
# to a hundred times larger: brightest in the gap, and growing towards the edges of the picture.
#
# ## Following a broken compass
#
# Does it matter? Let walkers climb along the score, $x \leftarrow x + \eta\, s(x)$, once with the exact and once with the
# learned compass. (With noise added to each step this is Langevin dynamics, of which notebook 3 tells.)
#
# ### Exercise 1.6: follow the compass (5 minutes)
#
# Write the walk, for many walkers at once.
#
# <details><summary>Hint 1: where to begin</summary>
#
# A loop of `n_steps` rounds. The score is asked anew in each, at the place where the walkers are by then.
#
# </details>
# <details><summary>Hint 2: leave the start alone</summary>
#
# `x += ...` would overwrite the tensor of whoever called you. `x = x + ...` makes a new one.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# Uphill is with a plus. Return after the loop, not within it.
#
# </details>


# %%
def follow(score, x, step, n_steps):
    """Return where walkers end that start at the rows of x and take n_steps steps of size `step` along the score."""
    ### BEGIN SOLUTION
    for _ in range(n_steps):
        x = x + step * score(x)
    return x
    ### END SOLUTION


# %%
follow = check("1.6", follow).use


# %%
def paths(score, start):
    """Return the places of walkers after 0, 1, ..., 120 steps."""
    places = [start]
    for _ in range(120):
        places.append(follow(score, places[-1], 0.02, 1))
    return torch.stack(places)


start = 10 * torch.rand(60, 2, generator=torch.Generator().manual_seed(2)) - 5
figure = draw_walks({"learned": paths(learned, start), "exact": paths(lambda x: exact(x, sigma), start)}, data, means)

# %% [markdown]
# In the plane it hardly matters. The learned paths bend, but every walker comes home (orange, solid: to the left hill; blue, dashed: to
# the right), and only a few that set out near the watershed end at the other hill. A smooth network guesses well across a gap of
# a few units in two dimensions. So is all this talk of empty space idle?
#
# ### Predict
#
# {{question 1.p4}}

# %%
quiz("1.p4", "c")  ### SOLUTION "c"

# %% [markdown]
# The same two hills, the same distance apart, the same 5,000 points, the same network, in more and more dimensions. Walkers
# start in pure noise, as every sampler does.

# %%
dimensions = [2, 5, 10, 20, 30]
astray, larger = [], {"learned": [], "exact": []}
for dim in dimensions:
    centre = torch.full((dim,), 3 / dim**0.5)
    hills = torch.stack([-centre, centre])
    truth = GaussianMixtureScore(weights, hills, 0.5**2)
    generator = torch.Generator().manual_seed(dim)
    network = train(truth.sample(5000, generator), sigma, seed=dim)
    start = 3 * torch.randn(2000, dim, generator=generator)
    ends = {}
    for name, score in {"learned": network, "exact": lambda x, truth=truth: truth(x, sigma)}.items():
        ends[name] = torch.cdist(follow(score, start, 0.03, 300), hills).argmin(dim=1)
        larger[name].append(float((ends[name] == 1).float().mean()))
    astray.append(float((ends["learned"] != ends["exact"]).float().mean()))

figure = draw_curves(
    dimensions,
    {
        "share of walkers led astray": {"learned": astray, "exact": [0] * 5, "a coin": [0.5] * 5},
        "share that ends at the larger hill": larger,
    },
    "dimensions",
    marker="o",
)
seen = truth.sample(20_000, generator, sigma)
error = relative_error(network(seen), truth(seen, sigma))
print(f"in 30 dimensions, the relative error where the data are is {error:.2f}")
gate("1.6", astray[-1])

# %% [markdown]
# In 30 dimensions the learned compass no longer reads the place: it sends nearly all walkers to the larger hill, whichever they
# stood nearer to, and so it is right about as often as a coin. And that although its error where the data are is a few
# hundredths. Images have not 30 dimensions, but thousands.
#
# ## Three questions
#
# {{question 1.a}}

# %%
quiz("1.a", "b")  ### SOLUTION "b"

# %% [markdown]
# {{question 1.b}}

# %%
quiz("1.b", "a")  ### SOLUTION "a"

# %% [markdown]
# {{question 1.c}}

# %%
quiz("1.c", "a")  ### SOLUTION "a"

# %% [markdown]
# > **Note.** You will read that larger noise levels have larger scores. It is the other way round: the length goes as 1/σ and
# > *falls* as σ grows, and this is why a sampler may take larger steps at larger noise.
#
# ## What to take along
#
# **Neural networks cannot learn scores where there is no data.** The loss is a mean over the data, so it says nothing about the rest,
# and the rest is nearly all of space. The network answers there all the same, and in many dimensions its answer is worth no more
# than a coin's.
#
# The last question holds the way out: noise spreads the data over the empty space, so that there *is* something to learn from
# everywhere. A little noise keeps the detail and leaves the gap; much noise fills the gap and blurs the detail. So take all
# levels at once.
#
# Next: [2 · A noise-conditioned score network](02_ncsn_architecture.ipynb)
#
# ### Sources
#
# - Vincent (2011), *A connection between score matching and denoising autoencoders*, Neural Computation 23.
# - Song & Ermon (2019), *Generative modeling by estimating gradients of the data distribution*, NeurIPS.
