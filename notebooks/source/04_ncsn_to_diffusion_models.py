# %% [markdown]
# # 4 From NCSN to diffusion models
# {{badge}}
#
# *About 50 minutes, of which the computer needs one; no GPU. Notebooks 1 to 3 come before it.*
#
# A year after NCSN came DDPM: other words, another derivation, another sampler, and pictures that made the field famous. In this
# notebook you take both apart and find the same network inside. You will
#
# - prove that predicting noise and predicting the score are one thing, and see two losses agree to the last digit;
# - build the real DDPM: its betas, its noising, its loss, its sampler;
# - turn an NCSN into a DDPM and back, without training anything;
# - train both, and find that they learn the same function;
# - run the three samplers that the Score SDE made of it: ancestral, reverse SDE, and a flow without any noise.
#
# Each exercise is a function to write. `check` says what is wrong with it, and as long as it is not right, the library's own
# version stands in, so you can always read on. Every exercise has three hints; the last one nearly gives it away.

# %%
# {{setup}}

# %%
import math

import matplotlib.pyplot as plt
import torch
from torch import nn

from ncsn import GaussianMixtureScore, create_noise_schedule, sample, sliced_wasserstein2
from ncsn.learn import check, gate, quiz
from ncsn.losses import denoising_score_matching
from ncsn.noise import ddpm_levels

torch.manual_seed(0)
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"

# %% [markdown]
# ## The data
#
# As in notebook 3: two modes, one with 0.2 of the mass and one with 0.8. Their exact score is known at every noise level, so
# each of your answers can be drawn beside the truth.

# %%
weights = torch.tensor([0.2, 0.8])
means = torch.tensor([[-1.5, -1.5], [1.5, 1.5]])
std = 0.4
exact = GaussianMixtureScore(weights, means, std**2)
data = exact.sample(5000)
held_out = exact.sample(20_000)


def share_of_smaller_mode(x):
    """Return the share of points that lie nearer to the smaller mode."""
    return (x.sum(1) < 0).double().mean()


print(f"share of the smaller mode among the data: {share_of_smaller_mode(data):.3f}")

# %% [markdown]
# ## 1 One network, two readings
#
# **Predict.**
#
# {{question 4.p1}}

# %%
quiz("4.p1", "a")  ### SOLUTION "a"

# %% [markdown]
# **The proof.** NCSN makes a noisy point x̃ = x + σε and trains a network s to say where the noise came from, weighted by σ²:
#
# $$\mathcal L_{\text{NCSN}} = \mathbb E\;\sigma^2 \left\| s(\tilde x, \sigma) + \frac{\varepsilon}{\sigma} \right\|^2.$$
#
# DDPM trains a network ε̂ to say what the noise *was*:
#
# $$\mathcal L_{\text{DDPM}} = \mathbb E \left\| \hat\varepsilon(\tilde x, \sigma) - \varepsilon \right\|^2.$$
#
# Put σ² inside the first square: it becomes ‖σ s + ε‖². So if one is read as the other by
#
# $$\boxed{\; s = -\hat\varepsilon / \sigma \qquad\Longleftrightarrow\qquad \hat\varepsilon = -\sigma s \;}$$
#
# the two losses are equal term by term: for each network, trained or not, for each point and each level, and so are their
# gradients.
#
# **What the optimum is.** Of all functions of x̃, the conditional mean has the smallest squared error, so the best network says
# $\hat\varepsilon^*(\tilde x) = \mathbb E[\varepsilon \mid \tilde x]$. And the score of the noisy distribution is a mean as well,
# of the conditional scores:
#
# $$\nabla \log p_\sigma(\tilde x) = \mathbb E\left[ \nabla_{\tilde x} \log p(\tilde x \mid x) \,\middle|\, \tilde x \right]
# = \mathbb E\left[ -\frac{\varepsilon}{\sigma} \,\middle|\, \tilde x \right] = -\frac{\hat\varepsilon^*(\tilde x)}{\sigma}.$$
#
# (The first step: differentiate $p_\sigma(\tilde x) = \int p(x)\, p(\tilde x \mid x)\, dx$ and divide by $p_\sigma(\tilde x)$.)
# A perfect noise predictor *is* the score, up to the factor −1/σ. ∎
#
# ### Exercise 4.1: read predicted noise as a score
#
# `noise` is `(N, D)`, and `sigma` is `(N,)`: each row has its own level.
#
# <details><summary>Hint 1: the direction</summary>
#
# Noise leads from the datum to the noisy point. The score leads to where data are dense. So what about the sign?
#
# </details>
# <details><summary>Hint 2: the length</summary>
#
# The box above has it: divide by the level itself, not by its square.
#
# </details>
# <details><summary>Hint 3: the shapes</summary>
#
# `(N, D)` over `(N,)` does not line up. Give `sigma` a second axis of length 1: `sigma[:, None]`.
#
# </details>


# %%
def score_from_noise(noise, sigma):
    """Return the score that the predicted noise stands for."""
    ### BEGIN SOLUTION
    return -noise / sigma[:, None]
    ### END SOLUTION


# %%
score_from_noise = check("4.1", score_from_noise).use

# %% [markdown]
# Now the identity. The network below has learned nothing; it is read both ways, on the same noisy points. The score's loss is
# the library's `denoising_score_matching`, which you wrote yourself in notebook 2.

# %%
untrained = nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 2)).double()


def some_noise(x, sigma):
    """Return what the untrained network takes for the noise."""
    return untrained(torch.cat([x, sigma.log()[:, None]], dim=1))


x0 = data[:1000].double()
sigma = 0.05 * 400 ** torch.rand(len(x0), dtype=torch.float64)
noise = torch.randn_like(x0)
noise_loss = (some_noise(x0 + sigma[:, None] * noise, sigma) - noise).square().mean()
score_loss = denoising_score_matching(lambda x, s: score_from_noise(some_noise(x, s), s), x0, sigma, noise).mean()
print(f"DDPM's loss {noise_loss:.12f}\nNCSN's loss {score_loss:.12f}")
gate("4.1", (noise_loss - score_loss).abs().item())
# %% [markdown]
# **Look.** Left, the noise that a perfect predictor sees at σ = 1: it points away from the data. Middle, your reading of it.
# Right, the exact score.

# %%
grid = torch.cartesian_prod(torch.linspace(-3.6, 3.6, 13), torch.linspace(-3.6, 3.6, 13))


def draw_arrows(ax, arrows, points, title, color, places=grid):
    """Draw points and the directions of arrows, the longer the darker."""
    ax.scatter(*points[:600].T, s=3, color="#CCCCCC")
    length = arrows.norm(dim=1, keepdim=True)
    unit = arrows / length.clamp(min=1e-12)
    strength = (0.35 + 0.65 * (length / length.max()).sqrt())[:, 0].clamp(0, 1)
    ax.quiver(*places.T, *unit.T, color=color, alpha=strength, pivot="mid", angles="xy", scale=18, width=0.007)
    window = 1.06 * float(places.max())
    ax.set(title=title, aspect="equal", xlim=(-window, window), ylim=(-window, window), xticks=[], yticks=[])


one = torch.ones(len(grid))
perfect_noise = grid - exact.denoise(grid, 1.0)  # x̃ − E[x | x̃] is σ times the mean noise, and σ is 1
noisy = data + torch.randn_like(data)
figure = plt.figure(figsize=(10, 3.5), layout="constrained")
axes = figure.subplots(1, 3, sharex=True, sharey=True)
draw_arrows(axes[0], perfect_noise, noisy, "predicted noise", GREY)
draw_arrows(axes[1], score_from_noise(perfect_noise, one), noisy, "read as a score: yours", ORANGE)
draw_arrows(axes[2], exact(grid, one[0]), noisy, "exact score", BLUE)
plt.show()

# %% [markdown]
# ## 2 The real DDPM
#
# A network that predicts noise is not yet DDPM. DDPM (Ho, Jain & Abbeel 2020) noises by a **chain** of T = 1,000 small steps,
#
# $$x_t = \sqrt{1 - \beta_t}\; x_{t-1} + \sqrt{\beta_t}\; z_t, \qquad z_t \sim \mathcal N(0, I),$$
#
# with β growing evenly from 0.0001 to 0.02. Each step shrinks a little and shakes a little, so that data of variance 1 keep
# their variance: what NCSN lets **explode**, DDPM **preserves**. Time is discrete here: step 1, step 2, … step 1,000.
#
# > **Note.** We count steps as Python does: `t = 0` is after the first step, `t = 999` after the last.
#
# **Predict.**
#
# {{question 4.p2}}

# %%
quiz("4.p2", "c")  ### SOLUTION "c"

# %% [markdown]
# **Derive.** After a step, the factor of the clean data is √(1 − β) times what it was. After t steps it is
#
# $$\sqrt{1-\beta_t}\,\sqrt{1-\beta_{t-1}}\cdots\sqrt{1-\beta_1}\; =: \;\sqrt{\bar\alpha_t},$$
#
# so ᾱ, "alpha-bar", is the share of the data's *variance* that is left.
#
# ### Exercise 4.2: ᾱ from the betas
#
# `betas` is `(T,)`; return ᾱ after each step, `(T,)`.
#
# <details><summary>Hint 1: one step</summary>
#
# A step leaves the share 1 − β of the variance. Two steps leave the share (1 − β₁)(1 − β₂).
#
# </details>
# <details><summary>Hint 2: all steps</summary>
#
# You need a running product of 1 − β, from the first step up to each.
#
# </details>
# <details><summary>Hint 3: the function</summary>
#
# `torch.cumprod(values, dim=0)` is the running product.
#
# </details>


# %%
def alpha_bars(betas):
    """Return the share of the data's variance that is left after each step."""
    ### BEGIN SOLUTION
    return torch.cumprod(1 - betas, dim=0)
    ### END SOLUTION


# %%
alpha_bars = check("4.2", alpha_bars).use

# %% [markdown]
# **Look.** Left: what is left of the data and what has come in as noise; squared, they add up to 1. Right: their ratio
# σ = √(1 − ᾱ)/√ᾱ is a noise level as NCSN has them. So **DDPM is an NCSN of 1,000 levels**, from 0.01 to 157.

# %%
betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
alpha_bar = alpha_bars(betas)
sigmas = ((1 - alpha_bar) / alpha_bar).sqrt()
reference = ddpm_levels().flip(0)

figure = plt.figure(figsize=(9.5, 3.2), layout="constrained")
left, right = figure.subplots(1, 2)
left.plot(alpha_bar.sqrt(), color=BLUE, label="data: √ᾱ")
left.plot((1 - alpha_bar).sqrt(), color=ORANGE, label="noise: √(1 − ᾱ)")
left.set(xlabel="step t", title="DDPM's two factors")
left.legend()
right.semilogy(sigmas, color=ORANGE, linewidth=4, alpha=0.5, label="yours")
right.semilogy(reference, color=BLUE, linestyle="--", label="the library's ddpm_levels")
right.semilogy(torch.linspace(999, 0, 10), create_noise_schedule(0.01, 50, 10), "k.", label="ten levels of an NCSN")
right.set(xlabel="step t", title="the same as a noise level σ")
right.legend()
plt.show()
gate("4.2", ((sigmas - reference) / reference).abs().max())

# %% [markdown]
# ### Exercise 4.3: noise in one leap
#
# Nobody walks the chain to train. A sum of independent Gaussians is a Gaussian, so all steps up to t are one:
#
# $$x_t = \sqrt{\bar\alpha_t}\; x_0 + \sqrt{1 - \bar\alpha_t}\; \varepsilon .$$
#
# (The variance of the noise: if it was 1 − ᾱ, the next step makes it (1 − β)(1 − ᾱ) + β = 1 − (1 − β)ᾱ. That is 1 minus the
# new ᾱ again.)
#
# `x0` and `noise` are `(N, D)`, `t` is `(N,)` whole numbers, `alpha_bar` is `(T,)`.
#
# <details><summary>Hint 1: which ᾱ</summary>
#
# Each row has its own step: `alpha_bar[t]` is `(N,)`, one for each row.
#
# </details>
# <details><summary>Hint 2: the shapes</summary>
#
# As in 4.1, `(N,)` must become `(N, 1)` to multiply rows.
#
# </details>
# <details><summary>Hint 3: the roots</summary>
#
# The square root of it before the data, and the square root of *1 minus* it before the noise.
#
# </details>


# %%
def add_noise(x0, t, noise, alpha_bar):
    """Return x0 after the steps up to t."""
    ### BEGIN SOLUTION
    left = alpha_bar[t][:, None]
    return left.sqrt() * x0 + (1 - left).sqrt() * noise
    ### END SOLUTION


# %%
add_noise = check("4.3", add_noise).use

# %% [markdown]
# **Look.** Above, the chain, walked step by step. Below, your leap. The gate compares them as clouds, beside what two walks of
# the chain differ by.


# %%
def walk_the_chain(x, n_steps):
    """Take the chain's steps one by one."""
    for beta in betas[:n_steps].float():
        x = (1 - beta).sqrt() * x + beta.sqrt() * torch.randn_like(x)
    return x


def leap(x, n_steps):
    """Take them all at once, by 4.3."""
    t = torch.full((len(x),), n_steps - 1)
    return add_noise(x, t, torch.randn_like(x), alpha_bar.float())


figure = plt.figure(figsize=(10, 5), layout="constrained")
axes = figure.subplots(2, 4, sharex=True, sharey=True)
for column, n_steps in zip(axes.T, (1, 100, 300, 1000), strict=True):
    for ax, cloud, color in zip(column, (walk_the_chain, leap), (BLUE, ORANGE), strict=True):
        ax.scatter(*cloud(data[:1500], n_steps).T, s=2, color=color)
        ax.set(xlim=(-4, 4), ylim=(-4, 4), aspect="equal")
    column[0].set_title(f"after {n_steps:,} step{'s' if n_steps > 1 else ''}")
axes[0, 0].set_ylabel("the chain")
axes[1, 0].set_ylabel("one leap: yours")
plt.show()

fresh = [exact.sample(5000) for _ in range(10)]
walked, walked_again = [walk_the_chain(x, 300) for x in fresh[:5]], [walk_the_chain(x, 300) for x in fresh[5:]]
leapt = [leap(exact.sample(5000), 300) for _ in range(5)]
apart = sum(sliced_wasserstein2(a, b) for a, b in zip(leapt, walked, strict=True))
floor = sum(sliced_wasserstein2(a, b) for a, b in zip(walked_again, walked, strict=True))
gate("4.3", apart / floor)

# %% [markdown]
# ## 3 From one scale to the other
#
# Divide DDPM's x_t by √ᾱ: out comes x₀ + σε with σ = √((1 − ᾱ)/ᾱ). That is **exactly NCSN's noisy point**. The two do not
# noise differently; they look at the same cloud through another magnifying glass. People call NCSN's view *variance exploding*
# (VE), DDPM's *variance preserving* (VP).
#
# **Derive.** Let p be the density in NCSN's scale at that σ. In DDPM's scale, x = √ᾱ · x_VE, so the density there is
# $q(x) = p(x/\sqrt{\bar\alpha})\,/\,\sqrt{\bar\alpha}^{\,D}$. Take the logarithm and differentiate with respect to x: the
# constant drops out, and the chain rule brings one more factor,
#
# $$s_{\text{VP}}(x) = \frac{1}{\sqrt{\bar\alpha}}\; s_{\text{VE}}\!\left(\frac{x}{\sqrt{\bar\alpha}},\; \sigma\right),
# \qquad \sigma = \sqrt{\frac{1 - \bar\alpha}{\bar\alpha}} .$$
#
# ### Exercise 4.4: an NCSN's score in DDPM's scale
#
# `ve_score(x, sigma)` is any score model of this library or of the notebooks before; `alpha_bar` is a single number, as a tensor.
#
# <details><summary>Hint 1: three places</summary>
#
# The formula uses ᾱ three times: within the first argument, in the second, and in front.
#
# </details>
# <details><summary>Hint 2: the order</summary>
#
# First make x as large as NCSN knows it, then ask for the score there, and then make the arrow fit DDPM's scale.
#
# </details>
# <details><summary>Hint 3: the roots</summary>
#
# The same √ᾱ divides twice: x before, and the score after. Sigma has its root around the whole ratio.
#
# </details>


# %%
def vp_score(ve_score, x, alpha_bar):
    """Return the score of DDPM's x_t, given a score model in NCSN's scale."""
    ### BEGIN SOLUTION
    shrunk = alpha_bar.sqrt()
    sigma = ((1 - alpha_bar) / alpha_bar).sqrt()
    return ve_score(x / shrunk, sigma) / shrunk
    ### END SOLUTION


# %%
vp_score = check("4.4", vp_score).use

# %% [markdown]
# **Look.** In DDPM's scale the truth is known, too: there the mixture has shrunk, means by √ᾱ and variances by ᾱ, and its noise has
# the size √(1 − ᾱ). Each column is a step of DDPM. Mind the axes: above, the cloud explodes; below, it keeps its size.


# %%
def exact_vp_score(x, left):
    """Return the score of the shrunk mixture with noise of variance 1 - left."""
    shrunk = GaussianMixtureScore(weights.double(), left.sqrt() * means.double(), left * std**2)
    return shrunk(x, (1 - left).sqrt())


figure = plt.figure(figsize=(10, 7.6), layout="constrained")
axes = figure.subplots(3, 4)
worst = 0.0
for column, t in zip(axes.T, (50, 200, 400, 700), strict=True):
    left, level = alpha_bar[t], sigmas[t]
    noisy = data.double() + level * torch.randn(len(data), 2, dtype=torch.float64)
    places = grid.double() / 1.5 * noisy.std(0).mean()
    draw_arrows(column[0], exact(places, level), noisy, f"t = {t}, σ = {level:.2g}", GREY, places)
    places, noisy = left.sqrt() * places, left.sqrt() * noisy
    draw_arrows(column[1], vp_score(exact, places, left), noisy, "", ORANGE, places)
    draw_arrows(column[2], exact_vp_score(places, left), noisy, "", BLUE, places)
    for ax in column:
        ax.set_xlabel("from {:.1f} to {:.1f}".format(*ax.get_xlim()))
    yours, truth = vp_score(exact, noisy, left), exact_vp_score(noisy, left)
    worst = max(worst, float(((yours - truth).abs() / (1 + truth.abs())).max()))
for ax, name in zip(axes[:, 0], ("NCSN's scale", "DDPM's scale: yours", "DDPM's scale: exact"), strict=True):
    ax.set_ylabel(name)
plt.show()
gate("4.4", worst)
# %% [markdown]
# ## 4 Train both
#
# **Predict.**
#
# {{question 4.p3}}

# %%
quiz("4.p3", "c")  ### SOLUTION "c"

# %% [markdown]
# ### Exercise 4.5: DDPM's loss
#
# Noise the data by 4.3, ask the network what the noise was, and take the mean of the squared differences over all entries:
#
# $$\mathcal L = \mathbb E \left\| \hat\varepsilon\big(\sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon,\; t\big)
# - \varepsilon \right\|^2 .$$
#
# This is the "simple" loss of the paper (its equation 14). `network(x, t)` takes points `(N, D)` and steps `(N,)`.
#
# <details><summary>Hint 1: what the network sees</summary>
#
# Not the clean data: the noisy ones. Your `add_noise` makes them.
#
# </details>
# <details><summary>Hint 2: what it should say</summary>
#
# The very `noise` that went in. No sign, no sigma, no weight.
#
# </details>
# <details><summary>Hint 3: in one breath</summary>
#
# Prediction minus noise, squared, `.mean()` over everything. The network is called with the noisy points and with `t`.
#
# </details>


# %%
def ddpm_loss(network, x0, t, noise, alpha_bar):
    """Return DDPM's loss, a single number."""
    ### BEGIN SOLUTION
    noisy = add_noise(x0, t, noise, alpha_bar)
    return (network(noisy, t) - noise).square().mean()
    ### END SOLUTION


# %%
ddpm_loss = check("4.5", ddpm_loss).use

# %% [markdown]
# Now train one of each, as their papers have them. The two get the same small network F, but it is used as differently as the
# papers do:
#
# | | NCSN | DDPM |
# |---|---|---|
# | noise levels | 30, from 20 to 0.05, evenly on a log scale | 1,000 steps of β |
# | the network sees | x̃ and log σ | x_t and t |
# | its output is | the score times σ | the noise |
# | the loss is | notebook 2's, weighted by σ² | yours of 4.5 |


# %%
class SmallNetwork(nn.Module):
    """A perceptron of a point and a number, which is told by sines and cosines."""

    def __init__(self, width=96):
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(-0.5, 0.9, 16))
        self.layers = nn.Sequential(
            *[nn.Linear(34, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()],
            *[nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2)],
        )

    def forward(self, x, number):
        angles = number.expand(len(x))[:, None] * self.frequencies
        return self.layers(torch.cat([x, angles.sin(), angles.cos()], dim=1))


ncsn_network, ddpm_network = SmallNetwork(), SmallNetwork()
left32, betas32 = alpha_bar.float(), betas.float()


def ncsn_score(x, sigma):
    """Return the NCSN's score: the output over sigma, of x scaled to about unit size."""
    level = sigma.expand(len(x))[:, None]
    return ncsn_network(x / (1 + level**2).sqrt(), sigma.log()) / level


def predicted_noise(x, t):
    """Return the noise that the DDPM sees in x at the step t."""
    return ddpm_network(x, torch.as_tensor(t) / 125)


def train(network, loss_of_batch, steps=1500, batch=512):
    """Train by Adam, with a learning rate that rises and falls."""
    optimizer = torch.optim.Adam(network.parameters())
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=6e-3, total_steps=steps, pct_start=0.1)
    losses = []
    for _ in range(steps):
        loss = loss_of_batch(data[torch.randint(len(data), (batch,))], torch.randn(batch, 2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
        losses.append(loss.item())
    return sum(losses[-200:]) / 200


levels = create_noise_schedule(0.05, 20.0, 30)


def ncsn_loss_of_batch(x0, noise):
    """Return NCSN's loss at a random level for each row."""
    return denoising_score_matching(ncsn_score, x0, levels[torch.randint(30, (len(x0),))], noise).mean()


def ddpm_loss_of_batch(x0, noise):
    """Return DDPM's loss at a random step for each row."""
    return ddpm_loss(predicted_noise, x0, torch.randint(1000, (len(x0),)), noise, left32)


print(f"NCSN: loss {train(ncsn_network, ncsn_loss_of_batch):.3f}")
print(f"DDPM: loss {train(ddpm_network, ddpm_loss_of_batch):.3f}")

# %% [markdown]
# The losses differ a good deal. Now read the DDPM in NCSN's scale (4.1 and section 3, from right to left), and hold both
# against the exact score, at six levels, as a share of the arrow's length: $\sqrt{\mathbb E\|s - s^*\|^2 / \mathbb E\|s^*\|^2}$.


# %%
def ddpm_score(x, sigma):
    """Return the DDPM's score in NCSN's scale, at the nearest of its steps."""
    t = int((sigmas - sigma).abs().argmin())
    noise = predicted_noise(left32[t].sqrt() * x, t)
    return score_from_noise(noise, sigma.expand(len(x)))


def length_error(a, b, truth):
    """Return how far apart two scores are, as a share of the exact arrows' length."""
    return float(((a - b).square().sum() / truth.square().sum()).sqrt())


errors = []
with torch.no_grad():
    for wanted in (0.2, 0.5, 1.0, 2.0, 5.0, 10.0):
        level = sigmas[(sigmas - wanted).abs().argmin()].float()
        x = exact.sample(20_000, sigma=level)
        truth, one, other = exact(x, level), ncsn_score(x, level), ddpm_score(x, level)
        pairs = ((one, truth), (other, truth), (one, other))
        errors.append((float(level), *(length_error(*pair, truth) for pair in pairs)))
print("    σ    NCSN    DDPM  between")
for row in errors:
    print("{:5.2f}   {:.3f}   {:.3f}   {:.3f}".format(*row))
_, of_ncsn, of_ddpm, between = (max(column) for column in zip(*errors, strict=True))
gate("4.5a", of_ncsn)
gate("4.5b", of_ddpm)
gate("4.5c", between)
# %%
figure = plt.figure(figsize=(12.5, 3.2), layout="constrained")
axes = figure.subplots(1, 4)
level = torch.tensor(0.5)
noisy = data + level * torch.randn_like(data)
with torch.no_grad():
    draw_arrows(axes[0], ncsn_score(grid, level), noisy, "NCSN, σ = 0.5", ORANGE)
    draw_arrows(axes[1], ddpm_score(grid, level), noisy, "DDPM, σ = 0.5", ORANGE)
draw_arrows(axes[2], exact(grid, level), noisy, "exact, σ = 0.5", BLUE)
at, *curves = zip(*errors, strict=True)
for curve, name, style, color in zip(
    curves,
    ("NCSN to exact", "DDPM to exact", "NCSN to DDPM"),
    ("o-", "s--", "^:"),
    (BLUE, ORANGE, "black"),
    strict=True,
):
    axes[3].plot(at, curve, style, color=color, label=name)
axes[3].axhline(0.15, color=GREY, linewidth=0.8)
axes[3].set(xscale="log", xlabel="σ", ylim=(0, 0.2), title="error, as a share of the arrow's length")
axes[3].legend()
plt.show()

# %% [markdown]
# **Two papers, two losses, two ways to count time, and one function.** What is left between them is training error: each is about
# as far from the other as from the truth.
#
# ## 5 Three ways back
#
# ### Exercise 4.6: DDPM's step back
#
# NCSN walks back by Langevin steps. DDPM asks another question: *given x_t, where was x_{t−1}?* If x₀ were known, Bayes' rule on
# two Gaussians would answer exactly. It is not known, but the predicted noise implies a guess,
# $\hat x_0 = (x_t - \sqrt{1-\bar\alpha_t}\,\hat\varepsilon)/\sqrt{\bar\alpha_t}$, and with it the answer is
#
# $$x_{t-1} = \frac{1}{\sqrt{1-\beta_t}} \left( x_t - \frac{\beta_t}{\sqrt{1-\bar\alpha_t}}\, \hat\varepsilon \right)
# + \sqrt{\tilde\beta_t}\; z, \qquad \tilde\beta_t = \beta_t\, \frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t},$$
#
# with ᾱ = 1 before the first step. (The paper tries two variances, β̃ and β itself, and finds little between them; take β̃.)
#
# `t` is a whole number from 0 to T − 1, `z` is noise like `x`.
#
# <details><summary>Hint 1: three pieces</summary>
#
# Take away a share of the predicted noise; undo the shrinking of one step; add a little fresh noise.
#
# </details>
# <details><summary>Hint 2: the last step</summary>
#
# At `t = 0` there is no `alpha_bar[t - 1]`. Python would not complain: index −1 is the end of the list! Before the first step,
# ᾱ is 1, which makes β̃ = 0.
#
# </details>
# <details><summary>Hint 3: the roots</summary>
#
# One root of 1 − β divides everything but `z`. One root of 1 − ᾱ divides β. And β̃ is a variance: `z` gets its root.
#
# </details>


# %%
def ancestral_step(x, noise, t, betas, alpha_bar, z):
    """Return x one step earlier."""
    ### BEGIN SOLUTION
    before = alpha_bar[t - 1] if t > 0 else torch.ones_like(alpha_bar[0])
    mean = (x - betas[t] / (1 - alpha_bar[t]).sqrt() * noise) / (1 - betas[t]).sqrt()
    variance = betas[t] * (1 - before) / (1 - alpha_bar[t])
    return mean + variance.sqrt() * z
    ### END SOLUTION


# %%
ancestral_step = check("4.6", ancestral_step).use


# %%
@torch.no_grad()
def walk_ancestral(noise_of, n=2000):
    """Walk all 1,000 steps back from pure noise."""
    x = torch.randn(n, 2)
    for t in reversed(range(1000)):
        x = ancestral_step(x, noise_of(x, t), t, betas32, left32, torch.randn_like(x))
    return x


by_ddpm = walk_ancestral(predicted_noise)
gate("4.6", share_of_smaller_mode(by_ddpm))
# %% [markdown]
# ### The Score SDE
#
# Song et al. (2021) let the steps become ever smaller. Then the noising is a stochastic differential equation,
#
# $$dx = f(x, t)\,dt + g(t)\,dw,$$
#
# and NCSN and DDPM are two lines of one table:
#
# | | drift f | diffusion g | variance |
# |---|---|---|---|
# | NCSN (VE) | 0 | √(dσ²/dt) | explodes |
# | DDPM (VP) | −½ β(t) x | √β(t) | is preserved |
#
# **This** is where continuous time comes in: DDPM itself has 1,000 steps. With dt = 1/1,000, its β_t is β(t) dt, and indeed
# √(1 − β_t) x ≈ x − ½ β_t x.
#
# Time can be turned round (Anderson 1982), and all that is needed is the score. And there is a second way, without any noise,
# with *the same distribution at each time*:
#
# $$\text{reverse SDE:}\quad dx = \left[f - g^2 s\right] dt + g\, d\bar w \qquad\qquad
# \text{probability-flow ODE:}\quad dx = \left[f - \tfrac12 g^2 s\right] dt$$
#
# with dt < 0: time runs backwards. How can both be right? Subtract them: over a time |dt| the SDE moves ½ g² s |dt| more and adds
# noise of variance g² |dt|. That is one step of **Langevin dynamics** of size g² |dt|, and Langevin dynamics leaves its
# distribution as it is. You have met it in notebook 3.
#
# **Predict.**
#
# {{question 4.p4}}

# %%
quiz("4.p4", "b")  ### SOLUTION "b"

# %% [markdown]
# ### Exercise 4.7: a step back in time
#
# One function for both: `stochastic` says which. Here `dt` is a *positive* length: the step goes from t to t − `dt`. `x`, `score`,
# `f` and `z` are `(N, D)`, `g` is a number as a tensor.
#
# <details><summary>Hint 1: backwards</summary>
#
# A step forward would add the drift times `dt`. A step back subtracts it: x minus the bracket times `dt`.
#
# </details>
# <details><summary>Hint 2: the two cases</summary>
#
# They differ in two things: the factor ½ before g², which only the flow has, and the noise, which only the SDE has.
#
# </details>
# <details><summary>Hint 3: the size of the noise</summary>
#
# Over a time `dt` the noise has the variance g² `dt`, so `z` is multiplied by `g * dt**0.5`.
#
# </details>


# %%
def reverse_step(x, score, f, g, dt, z, stochastic):
    """Return x a time dt earlier, by the reverse SDE or the probability-flow ODE."""
    ### BEGIN SOLUTION
    if stochastic:
        return x - (f - g**2 * score) * dt + g * dt**0.5 * z
    return x - (f - 0.5 * g**2 * score) * dt
    ### END SOLUTION


# %%
reverse_step = check("4.7", reverse_step).use

# %% [markdown]
# Both walks, on your DDPM: the same network, never trained for either. To see the paths, 24 particles are followed along the
# diagonal on which both modes lie.


# %%
def ddpm_vp_score(x, t):
    """Return the DDPM's score in its own scale: minus the noise over its size there."""
    return score_from_noise(predicted_noise(x, t), (1 - left32[t]).sqrt().expand(len(x)))


def exact_vp_score_at(x, t):
    """Return the exact score at a step of DDPM."""
    return exact_vp_score(x.double(), alpha_bar[t]).to(x)


@torch.no_grad()
def walk_back(score, stochastic, stride, n=2000):
    """Walk back from pure noise; return where the points end, and their paths along the diagonal."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, 2, generator=generator)
    paths = [x]
    for t in range(999, -1, -stride):
        beta = 1000 * betas32[t]
        z = torch.randn(n, 2, generator=generator)
        x = reverse_step(x, score(x, t), -beta / 2 * x, beta.sqrt(), stride / 1000, z, stochastic)
        paths.append(x)
    return x, torch.stack(paths).sum(2) / math.sqrt(2)


by_sde, sde_paths = walk_back(ddpm_vp_score, True, stride=2)
by_flow, flow_paths = walk_back(ddpm_vp_score, False, stride=5)
gate("4.7a", share_of_smaller_mode(by_sde))
gate("4.7b", share_of_smaller_mode(by_flow))
# %% [markdown]
# **Look.** Behind the paths, in grey, the exact density at each time. Above, your walks with the trained network; below, the exact
# score, from the same starts and with the same noise: path by path they nearly agree, except at the watershed between the modes.
# The SDE's paths are rough, the flow's are smooth. Both fill the same grey.

# %%
diagonal = torch.linspace(-4, 4, 160, dtype=torch.float64)[:, None]
along = torch.tensor([[-1.5], [1.5]], dtype=torch.float64) * math.sqrt(2)
density = torch.stack(
    [
        GaussianMixtureScore(weights.double(), left.sqrt() * along, left * std**2).log_density(
            diagonal, (1 - left).sqrt()
        )
        for left in alpha_bar[::10]
    ]
).exp()
_, exact_sde_paths = walk_back(exact_vp_score_at, True, stride=2)
_, exact_flow_paths = walk_back(exact_vp_score_at, False, stride=5)
rows = (
    ("trained: yours", ORANGE, (("reverse SDE", sde_paths), ("probability-flow ODE", flow_paths))),
    ("exact score", BLUE, (("", exact_sde_paths), ("", exact_flow_paths))),
)
figure = plt.figure(figsize=(10, 5.6), layout="constrained")
axes = figure.subplots(2, 2, sharex=True, sharey=True)
for row, (name, color, walks) in zip(axes, rows, strict=True):
    for ax, (title, paths) in zip(row, walks, strict=True):
        ax.imshow(
            density.T.sqrt(), extent=(0, 1000, -4, 4), origin="lower", aspect="auto", cmap="Greys", alpha=0.8, vmax=1.2
        )
        ax.plot(torch.linspace(1000, 0, len(paths)), paths[:, :24], color=color, linewidth=0.7)
        ax.set(xlim=(1000, 0), title=title)
    row[0].set_ylabel(name)
for ax in axes[1]:
    ax.set_xlabel("step t, walked from 1,000 to 0")
plt.show()

# %% [markdown]
# ### The last proof
#
# If NCSN and DDPM are the same, then DDPM's sampler must run on the NCSN. It has never seen a β. Your 4.4 reads it in DDPM's scale,
# and −√(1 − ᾱ) makes noise of its score.


# %%
def noise_of_ncsn(x, t):
    """Return the noise that the NCSN sees at a step of DDPM."""
    return -(1 - left32[t]).sqrt() * vp_score(ncsn_score, x, left32[t])


by_ncsn = walk_ancestral(noise_of_ncsn)
gate("4.7c", share_of_smaller_mode(by_ncsn))
# %% [markdown]
# **Look.** All of them, beside the data and beside what the library's ancestral sampler makes of the exact score. The distance is
# to 20,000 held-out data, and no distance goes without its floor: fresh data have one, too, mostly because the shares of the
# modes vary from draw to draw.

# %%
by_library = sample(exact, ddpm_levels().float(), 2000, 2, sampler="ancestral")
results = {
    "data": (data[:2000], GREY, 0),
    "exact score,\nlibrary's ancestral": (by_library, BLUE, 1000),
    "DDPM,\nyour ancestral": (by_ddpm, ORANGE, 1000),
    "DDPM,\nyour reverse SDE": (by_sde, ORANGE, 500),
    "DDPM,\nyour flow": (by_flow, ORANGE, 200),
    "NCSN,\nyour DDPM sampler": (by_ncsn, ORANGE, 1000),
}
floors = [sliced_wasserstein2(exact.sample(2000), held_out) for _ in range(10)]
figure = plt.figure(figsize=(13, 2.9), layout="constrained")
axes = figure.subplots(1, 6, sharex=True, sharey=True)
print(f"{'':34}{'network calls':>14}{'smaller mode':>14}{'sliced W2':>11}")
for ax, (name, (points, color, calls)) in zip(axes, results.items(), strict=True):
    ax.scatter(*points.T, s=2, color=color)
    share = share_of_smaller_mode(points)
    ax.set(title=f"{name}\n{share:.2f} : {1 - share:.2f}", xlim=(-4, 4), ylim=(-4, 4), aspect="equal")
    distance = sliced_wasserstein2(points, held_out)
    print(f"{name.replace(chr(10), ' '):34}{calls:14,}{share:14.3f}{distance:11.3f}")
print(f"the floor: ten fresh draws of 2,000 data have {min(floors):.3f} to {max(floors):.3f}")
plt.show()

# %% [markdown]
# ## The family
#
# | year | method | what it brought | time |
# |---|---|---|---|
# | 2011 | denoising score matching (Vincent) | the loss | – |
# | 2019 | NCSN (Song & Ermon) | one network for many levels; annealed Langevin dynamics | discrete, 10 levels |
# | 2020 | NCSNv2 (Song & Ermon), June | levels and step sizes by rule; a moving average | discrete, hundreds of levels |
# | 2020 | DDPM (Ho, Jain & Abbeel), June | noise prediction; ancestral sampling; its roots lie in Sohl-Dickstein et al. 2015 | discrete, 1,000 steps |
# | 2021 | DDIM (Song, Meng & Ermon) | the same network, fewer steps, no noise | discrete |
# | 2021 | Score SDE (Song et al.) | both as one equation, its reverse and its flow | **continuous** |
# | 2022 | EDM (Karras et al.) | σ as the only coordinate, all the choices side by side | continuous |
# | 2023 | consistency models (Song et al.) | the flow's end in a single step | continuous |
#
# NCSNv2 and DDPM appeared in the same month and did not grow out of each other. In this library, each is a row of one table
# (`ncsn.methods.METHODS`): `NCSN(method="ddpm").fit(X)` is the DDPM of this notebook.
#
# ## Three questions
#
# {{question 4.a}}

# %%
quiz("4.a", "b")  ### SOLUTION "b"

# %% [markdown]
# {{question 4.b}}

# %%
quiz("4.b", "a")  ### SOLUTION "a"

# %% [markdown]
# {{question 4.c}}

# %%
quiz("4.c", "c")  ### SOLUTION "c"

# %% [markdown]
# ## What to take away
#
# **All modern diffusion models with Gaussian noise are score-based at their core.** Predicting noise, predicting the clean data and
# predicting the score are one function in three scales; DDPM is an NCSN that looks at its data through a shrinking glass; and
# ancestral sampling, the reverse SDE and the flow are three ways to follow the same arrows.
#
# > **Footnote.** *Gaussian* matters. Discrete diffusion, for text for instance (D3PM, Austin et al. 2021), noises by swapping or masking
# > symbols. There is no gradient with respect to a word, so no score in this sense; ratios of probabilities take its place (Lou et
# > al. 2024).
#
# ## Where to go from here
#
# - The five projects in [`examples/`](../examples/), with their results in [`docs/exercises/`](../docs/exercises/): schedules compared,
#   adaptive steps, classes, an animation of the score field, and NCSN against DDPM in quality and time.
# - Your own data: `ncsn plan DATA` says which settings they lead to and why, and `ncsn train DATA --out DIR` trains.
# - `ncsn learn` shows what you have done, and what is left.
