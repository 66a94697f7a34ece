# %% [markdown]
# # 3 · Annealed Langevin dynamics
# {{badge}}
#
# **About 50 minutes**, of which your computer works for about one; no GPU is needed.
# You should have done [notebook 2](02_ncsn_architecture.ipynb), or know what the score $s(x, \sigma)$ of data in fog of thickness σ is.
#
# When you are done you can
#
# - walk by a score, and say what your step size makes of the spread;
# - say why plain Langevin dynamics gets the proportions of the data wrong, even with the exact score;
# - sample from coarse to fine, with a step size for each noise level, a thousand walkers at once;
# - choose the step size by a rule instead of by luck, and judge samples beside what chance alone would do.
#
# How it goes: you **predict**, then **write** a function, then **check** it, then **look**. `check("3.1", f)` compares your
# function with an independent truth and tells you what is off. If you are stuck, open a hint, or simply go on: `.use` hands
# back your own function if it passes, and otherwise the library's, so every later cell runs. Questions are answered by putting
# a letter in place of the dots.

# %%
# {{setup}}

# %%
import math
import time

import torch

from ncsn import (
    EmpiricalScore,
    GaussianMixtureScore,
    PreconditionedScore,
    ResidualMLP,
    create_noise_schedule,
    energy_distance,
    ncsn_loss,
)
from ncsn.learn import check, gate, quiz, whose
from ncsn.learn.practice import share_at_first, train
from ncsn.learn.scenes import draw_by_level, draw_clouds
from ncsn.noise import langevin_step_size, variance_ratio
from ncsn.plan import largest_distance

# %% [markdown]
# ## Walking by a compass
#
# A compass that always points to where the data are denser: follow it, and you end on a hilltop. Everybody ends on a hilltop,
# the same few. That is no sample of the data, it is their peaks. To land where data *lie*, on the slopes, too, and in
# proportion, a walker has to be jostled on the way. **Langevin dynamics** adds just the right amount of noise to the climb:
#
# $$ x \;\leftarrow\; x + \frac{\alpha}{2}\, s(x) + \sqrt{\alpha}\; z, \qquad z \sim \mathcal N(0, I). $$
#
# Why these two sizes? In the limit of small α this is a diffusion. Drift carries the flow $\tfrac12 s\, p$, and noise the flow
# $-\tfrac12 \nabla p$, from dense to thin. With $s = \nabla \log p$ the first is $\tfrac12 \nabla p$, and the two cancel
# everywhere: once walkers are spread as $p$ says, they stay so.
#
# > **Note: two conventions.** You will meet $x + \alpha s + \sqrt{2\alpha}\, z$ just as often. It is the same dynamics with
# > **half the α for the same step**. Song & Ermon write the first in 2019 and the second in 2020; lectures take either. This
# > notebook and the library take the first, with α/2 and √α. A step size without its convention is a number without a unit, and
# > a mixture of both is wrong at any size.
#
# ### Exercise 3.1: one step (5 minutes)
#
# <details><summary>Hint 1: where to begin</summary>
#
# The formula is the answer. `alpha` is a plain number.
#
# </details>
# <details><summary>Hint 2: which way, and how far</summary>
#
# Uphill: plus the score. The noise gets the square root, because variances add up and α is to be the variance.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# `math.sqrt(alpha)`, or `alpha ** 0.5`. Give back where the walkers arrive, and take the noise that is handed in.
#
# </details>


# %%
def langevin_step(x, score, alpha, noise):
    """Return where walkers at x (N, D) arrive; score and noise are (N, D), alpha is a number: x + (alpha/2) s + sqrt(alpha) z."""
    ### BEGIN SOLUTION
    return x + alpha / 2 * score + math.sqrt(alpha) * noise
    ### END SOLUTION


# %%
langevin_step = check("3.1", langevin_step).use

# %% [markdown]
# **Look.** 1,000 walkers start at one place, (3, 0), and walk by the score of $\mathcal N(0, I)$, with α = 0.1. Above, steps
# of 3.1; below, draws of where they should be by then, which for a Gaussian is known exactly.

# %%
alpha, start = 0.1, torch.tensor([3.0, 0.0])
generator = torch.Generator().manual_seed(0)
x, yours, reference = start.expand(1000, 2), {}, {}
for step in range(101):
    if step in (1, 5, 20, 100):
        shrunk = (1 - alpha / 2) ** step
        spread = math.sqrt((1 - shrunk**2) * 4 / (4 - alpha))
        title = f"after {step} step{'s' * (step > 1)}"
        yours[title] = x
        reference[title] = shrunk * start + spread * torch.randn(x.shape, generator=generator)
    x = langevin_step(x, -x, alpha, torch.randn(x.shape, generator=generator))
figure = draw_clouds({whose("3.1"): yours, "exact": reference}, window=4.2)

# %% [markdown]
# *What the picture shows:* a tight crowd drifts to the middle and spreads on the way, until it fills the Gaussian and changes
# no more, although every single walker goes on walking.
#
# ### Predict
#
# {{question 3.p1}}

# %%
quiz("3.p1", "b")  ### SOLUTION "b"

# %% [markdown]
# ### Exercise 3.2: the spread that a step size leaves (5 minutes)
#
# On $\mathcal N(0, \sigma^2)$ the score is $-x/\sigma^2$, and with $a = \alpha / \sigma^2$ a step is
# $x \leftarrow (1 - \tfrac a2)\, x + \sqrt{a}\, \sigma z$. The noise is independent of $x$, so for the variance $v$, in units
# of $\sigma^2$,
#
# $$ v \;\leftarrow\; \left(1 - \frac a2\right)^2 v + a . $$
#
# Where does it settle, and for which $a$ not at all?
#
# <details><summary>Hint 1: where to begin</summary>
#
# It has settled when a step changes nothing: put the same v on both sides.
#
# </details>
# <details><summary>Hint 2: the algebra</summary>
#
# 1 − (1 − a/2)² = a − a²/4. An a cancels.
#
# </details>
# <details><summary>Hint 3: when it does not settle</summary>
#
# What was there before is multiplied by (1 − a/2)² in each step. If that is 1 or more, nothing is ever forgotten and the noise
# piles up: `math.inf`.
#
# </details>


# %%
def stationary_ratio(a):
    """Return the variance over sigma² at which Langevin dynamics with step a sigma² settles on N(0, sigma²); a > 0 is a number."""
    ### BEGIN SOLUTION
    return 4 / (4 - a) if a < 4 else math.inf
    ### END SOLUTION


# %%
stationary_ratio = check("3.2", stationary_ratio).use

# %% [markdown]
# **Look.** 20,000 walkers each, at σ = 2, until they have settled; and with a = 4.2, after 100 steps.

# %%
sigma, tried = 2.0, [0.03, 0.1, 0.3, 1.0, 2.0, 3.0, 3.6, 3.9]


def spread_after(a, n_steps):
    """Return the variance over sigma² of walkers that started with 1."""
    generator = torch.Generator().manual_seed(1)
    x = sigma * torch.randn(20_000, 1, generator=generator)
    for _ in range(n_steps):
        x = langevin_step(x, -x / sigma**2, a * sigma**2, torch.randn(x.shape, generator=generator))
    return float(x.square().mean()) / sigma**2


simulated = [spread_after(a, 200) for a in tried]
formula = [stationary_ratio(a) for a in tried]
figure = draw_by_level(
    tried, {"variance / σ²": {"simulated": simulated, f"formula: {whose('3.2')}": formula}}, xlabel="a = α / σ²"
)
print(f"a = 4.2: the variance is {spread_after(4.2, 100):.1e} sigma² after 100 steps, and growing")
gate("3.2", max(abs(one / other - 1) for one, other in zip(simulated, formula, strict=True)))

# %% [markdown]
# So α is safe below σ² or so, and deadly at 4σ². (In the other convention: 2/(2 − a), and deadly at 2σ².) All that matters is
# $a = \alpha/\sigma^2$, the step *in units of the cloud it walks in*.
#
# ## Why plain Langevin dynamics fails
#
# Now for data. Two modes in the plane, of standard deviation 0.5: one at (−5, −5) with **a fifth** of the mass, the other at
# (5, 5) with the rest. (Popular examples have two equal modes. There a walk that tosses a coin for the mode looks perfect.) We
# know this density, so let us be generous: the walkers get the **exact** score of the clean data.
#
# ### Predict
#
# {{question 3.p2}}

# %%
quiz("3.p2", "a")  ### SOLUTION "a"

# %%
exact = GaussianMixtureScore(weights=[0.2, 0.8], means=[[-5.0, -5.0], [5.0, 5.0]], covariances=0.5**2)


def spread_within(x):
    """Return the standard deviation about the nearer mode, over the true one, 0.5."""
    centre = torch.where(x.sum(dim=1, keepdim=True) < 0, -5.0, 5.0)
    return float((x - centre).square().mean().sqrt()) / 0.5


generator = torch.Generator().manual_seed(2)
plain = 16 * torch.rand(1000, 2, generator=generator) - 8
start = plain
for _ in range(1000):
    plain = langevin_step(plain, exact(plain, 0.0), 0.05, torch.randn(plain.shape, generator=generator))

truth = exact.sample(1000, generator)
panels = {
    "the start": start,
    f"plain: {share_at_first(plain, exact.means):.2f} at lower left": plain,
    f"truth: {share_at_first(truth, exact.means):.2f}": truth,
}
figure = draw_clouds({"": panels}, window=8.5, size=2.6, n_reference=1)
gate("3.4a", share_at_first(plain, exact.means))

# %% [markdown]
# *What the picture shows:* two neat round modes of the right width, in the **wrong proportion**. Each walker climbed the hill
# on whose side it started, and stayed: between the hills the density is about e⁻¹⁰⁰ of that at the top, and nobody crosses that
# by chance. The score inside a mode does not say how much mass the *other* one has. So the start decides, not the data.
#
# One often reads that plain Langevin "gets stuck" because the learned score is bad between the modes. It is bad there (notebook
# 1), and that comes on top. But this score was exact.
#
# ## From coarse to fine
#
# A sculptor does not begin with sandpaper. First the **chisel**: large blows that decide where the head is and where the arms,
# with no thought for the surface. Then finer tools. **Sandpaper last**: it can smooth everything, and move nothing.
#
# In thick fog the two modes are one cloud. A walker crosses from side to side in a few steps, so the walkers find the right
# proportions. Let the fog thin out: the cloud divides, each walker ends on one side, and the numbers are right because they
# were right just before. What is left is to smooth the surface. Shares first, details last: **annealed** Langevin dynamics
# (Song & Ermon 2019).
#
# ### Predict
#
# {{question 3.p3}}

# %%
quiz("3.p3", "b")  ### SOLUTION "b"

# %% [markdown]
# ### Exercise 3.3: a step size for each noise level (5 minutes)
#
# From exercise 3.2: what matters is $a = \alpha/\sigma^2$. Keep it the same at all levels, and every level sees the same dance,
# at its own scale:
#
# $$ \alpha_i = \varepsilon \left(\frac{\sigma_i}{\sigma_L}\right)^2, $$
#
# where $\sigma_L$ is the smallest level and ε the step there, so that $a = \varepsilon/\sigma_L^2$ throughout.
#
# > **Note.** You may read this rule with the reason that "larger noise levels have larger score magnitudes", so that steps had
# > to be held back there. It is the opposite: scores are about 1/σ long, *short* at large levels. That is why steps may *grow*,
# > as σ². (Check: the drift is (α/2)·s ≈ aσ/2, the noise √a·σ. Both are a fixed share of the cloud.)
#
# <details><summary>Hint 1: where to begin</summary>
#
# `sigmas` comes in falling order. Which entry is the smallest level?
#
# </details>
# <details><summary>Hint 2: check the end</summary>
#
# The last step has to be epsilon itself.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# Divide all levels by `sigmas[-1]`, square, and multiply with epsilon: one line, no loop.
#
# </details>


# %%
def step_sizes(sigmas, epsilon):
    """Return the step of each level, (L,); sigmas (L,) falls, and epsilon is the step at its last."""
    ### BEGIN SOLUTION
    return epsilon * (sigmas / sigmas[-1]) ** 2
    ### END SOLUTION


# %%
step_sizes = check("3.3", step_sizes).use

# %% [markdown]
# Which levels? As in notebook 2: from about the largest distance in the data down to a fifth of their finest scale, here 0.5.
# And how large a step? Take a = 0.1 for now; exercise 3.6 gives a rule.

# %%
print(f"largest distance in the data: {largest_distance(truth):.1f}")
sigmas = create_noise_schedule(sigma_min=0.1, sigma_max=15.0, num_levels=16)
epsilon = 0.001
n_steps = 100
print("  level    step   root mean square score   step/level²")
for sigma, alpha in list(zip(sigmas, step_sizes(sigmas, epsilon), strict=True))[::3]:
    noisy = exact.sample(2000, torch.Generator().manual_seed(3), sigma)
    size = exact(noisy, sigma).square().sum(dim=1).mean().sqrt()
    print(f"{sigma:7.2f} {alpha:7.3f} {size:15.2f} {alpha / sigma**2:20.2f}")

# %% [markdown]
# ### Exercise 3.4: annealed Langevin dynamics (10 minutes)
#
# At each level, from the largest to the smallest: as many steps as there are, with that level's score and that level's step.
# Where one level ends, the next goes on. All walkers go at once, N of them in one tensor: a sampler that walks them one by one
# takes a thousand times as many calls of the score.
#
# The noise is handed in, `noise[i, t]` for step t at level i, so that the check can compare to the last digit.
#
# <details><summary>Hint 1: where to begin</summary>
#
# Two loops, the outer one over the levels. Compute all steps before, with `step_sizes`.
#
# </details>
# <details><summary>Hint 2: the inner loop</summary>
#
# Ask the score where the walkers are *now*, at this level, and let `langevin_step` move them. `for z in noise[i]` goes through
# the level's noise.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# `x` is carried through both loops and returned after them. Nothing is reset at a new level, and the walkers are never looped
# over.
#
# </details>


# %%
def annealed_langevin(score_model, sigmas, x, epsilon, noise):
    """Return the walkers (N, D) after annealed Langevin dynamics from x (N, D).

    score_model(x, sigma) is the score at one level; sigmas (L,) falls; epsilon is the step at the last level; noise is
    (L, T, N, D), standard normal, for T steps at each level.
    """
    ### BEGIN SOLUTION
    alphas = step_sizes(sigmas, epsilon)
    for i, sigma in enumerate(sigmas):
        for z in noise[i]:
            x = langevin_step(x, score_model(x, sigma), float(alphas[i]), z)
    return x
    ### END SOLUTION


# %%
annealed_langevin = check("3.4", annealed_langevin).use

# %% [markdown]
# **Look.** 1,000 walkers, 16 levels, 100 steps each. They start in the thickest fog, $\mathcal N(0, \sigma_1^2 I)$. (To look at
# them on the way, the levels are walked in four parts; as a is the same everywhere, so is the walk.)

# %%
generator = torch.Generator().manual_seed(4)
x = sigmas[0] * torch.randn(1000, 2, generator=generator)
noise = torch.randn(len(sigmas), n_steps, 1000, 2, generator=generator)
a = epsilon / float(sigmas[-1]) ** 2
yours, reference, seconds = {"the start": x}, {"fog, σ = 15": exact.sample(1000, generator, 15.0)}, 0.0
for first, last in ((0, 4), (4, 8), (8, 12), (12, 16)):
    part = sigmas[first:last]
    begun = time.perf_counter()
    x = annealed_langevin(exact, part, x, a * float(part[-1]) ** 2, noise[first:last])
    seconds += time.perf_counter() - begun
    yours[f"at σ = {part[-1]:.2g}"] = x
    reference[f"fog, σ = {part[-1]:.2g}"] = exact.sample(1000, generator, part[-1])
annealed = x
figure = draw_clouds({whose("3.4"): yours, "exact": reference}, size=1.9)
shares = [share_at_first(x, exact.means) for x in (plain, annealed)]
print("share of the smaller mode: plain {:.3f}, annealed {:.3f}, exact 0.2".format(*shares))
gate("3.4b", shares[-1])
gate("3.4c", spread_within(annealed))
gate("3.4d", seconds)

# %% [markdown]
# *What the picture shows:* above the walkers, below draws of the fog itself at the same level. At σ = 15 there is one round
# cloud; at σ = 5.5 it stretches along the diagonal, with more weight at one end; at 1.4 it has parted, **four in five at the
# upper right**; from then on nobody changes sides any more, and the modes only get sharper. Chisel first, sandpaper last.
#
# ### Exercise 3.5: the last denoising (5 minutes)
#
# The walkers end at the last level, $\sigma_L$, not at 0: the fog is thin, but there. One thing is left to do. For a noisy
# point, the *mean* of the clean points it may have come from is
#
# $$ \mathbb E[x \mid \tilde x] = \tilde x + \sigma^2\, s(\tilde x, \sigma), $$
#
# since the score is the mean of all arrows back, divided by σ² (notebook 2). This is *Tweedie's formula*. One call of the
# score, no noise: the last wipe with a cloth. The first papers left it out, and their samples kept the grain of the last fog.
#
# <details><summary>Hint 1: where to begin</summary>
#
# The formula is the answer.
#
# </details>
# <details><summary>Hint 2: how far</summary>
#
# The whole way, not α/2 of it: this is not a Langevin step.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# `sigma` is one number for all; its square times what `score_model(x, sigma)` says, added to x.
#
# </details>


# %%
def denoise(score_model, x, sigma):
    """Return the mean of the clean points that may have led to each row of x (N, D), at the level sigma."""
    ### BEGIN SOLUTION
    return x + sigma**2 * score_model(x, sigma)
    ### END SOLUTION


# %%
denoise = check("3.5", denoise).use

# %% [markdown]
# **Look.** On soft modes of width 0.5 it hardly shows. So take data as thin as a pencil line, 400 points of a spiral, and stop
# at σ = 0.1.

# %%
angle = torch.linspace(1.5, 4.5, 400) * math.pi
spiral = torch.stack([angle.cos(), angle.sin()], dim=1) * angle[:, None] / 5
line = EmpiricalScore(spiral)
levels = create_noise_schedule(sigma_min=0.1, sigma_max=5.0, num_levels=10)
generator = torch.Generator().manual_seed(5)
noise = torch.randn(len(levels), 40, 1000, 2, generator=generator)
before = annealed_langevin(line, levels, levels[0] * torch.randn(1000, 2, generator=generator), 0.001, noise)
after = denoise(line, before, levels[-1])


def distance_to_line(x):
    return float(torch.cdist(x, spiral).min(dim=1).values.square().mean().sqrt())


panels = {"before": before, "after the last denoising": after, "the data": spiral}
figure = draw_clouds({"": panels}, window=3.2, size=2.6, n_reference=1)
print(f"distance to the line: before {distance_to_line(before):.3f}, after {distance_to_line(after):.3f}")
gate("3.5", distance_to_line(after) / distance_to_line(before))

# %% [markdown]
# It has a price: a mean is *less* spread than what it is a mean of. Soft modes become a little too narrow, by a share of about
# σ²/(2s²) (2% for σ = 0.1 and s = 0.5). So it does not replace small levels, it finishes them.
#
# ## How large a step?
#
# ### Predict
#
# {{question 3.p4}}

# %%
quiz("3.p4", "c")  ### SOLUTION "c"

# %% [markdown]
# ### Exercise 3.6: the spread after T steps (5 minutes)
#
# Too large a step inflates the cloud (3.2). Too small a step leaves it as wide as the level above did. In between is a best
# step, and it can be computed (technique 4 of Song & Ermon 2020). Walkers come from the level above, with the variance
# $v_0 = r^2$ in units of this level's σ², where $r = \sigma_{i-1}/\sigma_i$. Then, T times,
#
# $$ v \;\leftarrow\; \left(1 - \frac a2\right)^2 v + a, $$
#
# and the best $a$ leaves $v_T$ closest to 1.
#
# <details><summary>Hint 1: where to begin</summary>
#
# A loop of n_steps rounds is fine.
#
# </details>
# <details><summary>Hint 2: the start</summary>
#
# `ratio` is one of standard deviations, and v is a variance.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# Begin with `ratio ** 2`, and apply the formula n_steps times. (Or write down the answer at once: the distance to the settled
# value of 3.2 shrinks by the same factor in each step.)
#
# </details>


# %%
def variance_after(a, ratio, n_steps):
    """Return the variance over sigma² after n_steps steps of a sigma², for walkers that begin at ratio times sigma."""
    ### BEGIN SOLUTION
    variance = ratio**2
    for _ in range(n_steps):
        variance = (1 - a / 2) ** 2 * variance + a
    return variance
    ### END SOLUTION


# %%
variance_after = check("3.6", variance_after).use

# %% [markdown]
# First by your formula: which step is best for our levels and 100 steps?

# %%
ratio = float(sigmas[0] / sigmas[1])
grid = torch.logspace(-4, 0.5, 400).tolist()
best = min(grid, key=lambda a: abs(variance_after(a, ratio, n_steps) - 1))
rule = langevin_step_size(sigma_min=0.1, ratio=ratio, n_steps=n_steps)
print(f"best a = {best:.4f}, so epsilon = {best * 0.1**2:.5f}; the library's technique 4 takes epsilon = {rule:.5f}")
gate("3.6", best * 0.1**2 / rule)

# %% [markdown]
# And now in truth, on our two modes: the whole annealing for nine steps from ε = 0.000001 to 0.036. This takes some ten
# seconds.

# %%
generator = torch.Generator().manual_seed(6)
start = sigmas[0] * torch.randn(500, 2, generator=generator)
noise = torch.randn(len(sigmas), n_steps, 500, 2, generator=generator)
sweep = [1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 3.6]
results = [annealed_langevin(exact, sigmas, start, a * 0.1**2, noise) for a in sweep]
shares = [share_at_first(x, exact.means) for x in results]
figure = draw_by_level(
    sweep,
    {
        "variance / σ², points": {
            whose("3.6"): [variance_after(a, ratio, n_steps) for a in sweep],
            "technique 4": [variance_ratio(a, 1.0, ratio, n_steps) for a in sweep],
        },
        "spread within modes / true": {"annealed": [spread_within(x) for x in results], "exact": [1.0] * len(sweep)},
        "share of the smaller mode": {"annealed": shares, "exact": [0.2] * len(sweep)},
    },
    xlabel="a = ε / σ_min²",
    linear=["share of the smaller mode"],
)
print("     a   spread within modes / true   share")
for a, x, share in zip(sweep, results, shares, strict=True):
    print(f"{a:6.4f} {spread_within(x):20.2f} {share:16.3f}")

# %% [markdown]
# *What the picture shows:* left, the formula: at tiny steps the variance stays that of the level above, at large ones it is
# inflated, and between them lies the best. In the middle and right, the two modes: **from a = 0.01 down the walkers hardly
# move**; the samples are far too wide, and their shares are those of the start. Around 0.1 to 0.3 all is well. Towards 4 the
# shares go wrong again: at a = 3.6 each cloud has ten times the variance of its fog, and the modes do not part as they should.
# A careful step is not a small one.
#
# Look closely: the best step *here* is larger than the formula's 0.06. The formula is for data that are points. Where data are
# wider than the fog, as the modes are at the last levels, the walk is slower to settle and can bear a larger step. That calls
# for a step that notices.
#
# ### Exercise 3.7: steps that follow the score (5 minutes)
#
# Around a point, the mean of $\lVert s\rVert^2$ is $D/\sigma^2$. So $\alpha = a\sigma^2$ can be written without σ:
#
# $$ \alpha = a \cdot \frac{D}{\operatorname{mean} \lVert s \rVert^2} , $$
#
# where the mean runs over the walkers. Where data are wider than the fog, scores are shorter than 1/σ, and these steps grow.
# (Song et al. 2021 choose the steps of their correctors so.)
#
# <details><summary>Hint 1: where to begin</summary>
#
# The squared length of each row is the sum of its squared entries.
#
# </details>
# <details><summary>Hint 2: one step for all</summary>
#
# Average the squared lengths over the walkers *before* dividing. A walker on a hilltop has a score of nearly zero, and its own
# step would be huge.
#
# </details>
# <details><summary>Hint 3: nearly there</summary>
#
# D is `score.shape[1]`. Sum the squares over `dim=1`, average, divide.
#
# </details>


# %%
def adaptive_step(score, a):
    """Return alpha = a D / mean |s|², one number for all walkers; score is (N, D), the mean runs over its rows."""
    ### BEGIN SOLUTION
    return float(a * score.shape[1] / score.square().sum(dim=1).mean())
    ### END SOLUTION


# %%
adaptive_step = check("3.7", adaptive_step).use

# %%
generator = torch.Generator().manual_seed(7)
adaptive = sigmas[0] * torch.randn(1000, 2, generator=generator)
taken = []
for sigma in sigmas:
    for _ in range(n_steps):
        score = exact(adaptive, sigma)
        alpha = adaptive_step(score, 0.1)
        adaptive = langevin_step(adaptive, score, alpha, torch.randn(adaptive.shape, generator=generator))
    taken.append(alpha)
figure = draw_by_level(sigmas, {"step α": {"follows the score": taken, "follows σ²: a = 0.1": 0.1 * sigmas**2}})
gate("3.7a", share_at_first(adaptive, exact.means))
gate("3.7b", spread_within(adaptive))

# %% [markdown]
# *What the picture shows:* in thick fog both rules agree, but for a little more around σ = 4, where the two clouds part. Below
# 0.5, the width of a mode, the score grows no further, and the steps by the score stop shrinking: at σ = 0.1 they are 26 times
# as large, and the sandpaper gets its work done. The spread is now right to a percent or two.
#
# ## The whole way, with a learned score
#
# Up to here the score was exact, so that every fault was the sampler's. Now learn it, from 5,000 points. The network is one of
# the library's, built by the rules of notebook 2 (for data of spread 5); the loss is the one that you wrote there, and `train`
# takes the steps of exercise 2.7 in a loop. It takes some seconds.

# %%
torch.manual_seed(0)
training_set = exact.sample(5000, torch.Generator().manual_seed(8))
network = PreconditionedScore(ResidualMLP((2,), width=64, n_blocks=2), "edm", sigma_data=5.0)
train(network, training_set, lambda batch: ncsn_loss(network, batch, sigmas), n_steps=1000, batch=256, rate=3e-3)

generator = torch.Generator().manual_seed(10)
noise = torch.randn(len(sigmas), n_steps, 1000, 2, generator=generator)
learned = annealed_langevin(network, sigmas, sigmas[0] * torch.randn(1000, 2, generator=generator), epsilon, noise)
learned = denoise(network, learned, sigmas[-1])

# %% [markdown]
# Judge them: by the two figures that we know the truth of, and by a distance between whole clouds, the *energy distance*. A
# distance says nothing without its **floor**: two sets of 1,000 draws of the *truth* are not at distance 0 either.

# %%
truth = exact.sample(1000, generator)
floor = sorted(energy_distance(exact.sample(1000, generator), truth) for _ in range(9))
print(f"{'':>20}   share   spread   energy distance")
for name, x in {"plain, exact score": plain, "annealed, exact": annealed, "annealed, learned": learned}.items():
    share, distance = share_at_first(x, exact.means), energy_distance(x, truth)
    print(f"{name:>20} {share:7.3f} {spread_within(x):8.2f} {distance:13.2f}")
print(f"{'truth':>20} {0.2:7.3f} {1:8.2f} {floor[0]:13.2f} to {floor[-1]:.2f} between draws of the truth")

panels = {"plain, exact score": plain, "annealed, learned": learned, "truth": truth}
figure = draw_clouds({"": panels}, window=8.5, size=2.6, n_reference=1)
gate("3.8a", share_at_first(learned, exact.means))
gate("3.8b", spread_within(learned))

# %% [markdown]
# *What the picture shows:* left two modes of the same mass, in the middle and right one light and one heavy. A learned score
# and a good walk do better than an exact score and a bad one.
#
# What remains, in the share, is mostly chance (0.013 for 1,000 draws) and a little of the annealing itself: a walk of finite
# speed lags behind, and arrives with a share between that of the start and the truth. More levels or more steps bring it down;
# the library also has samplers that ask the score some forty times instead of 1,600 (notebook 4 tells where they come from).
#
# ## Three questions
#
# {{question 3.a}}

# %%
quiz("3.a", "a")  ### SOLUTION "a"

# %% [markdown]
# {{question 3.b}}

# %%
quiz("3.b", "b")  ### SOLUTION "b"

# %% [markdown]
# {{question 3.c}}

# %%
quiz("3.c", "a")  ### SOLUTION "a"

# %% [markdown]
# ## What to take along
#
# **Chisel first, sandpaper last.** Large noise levels decide the proportions, small ones the details, and none can do the
# other's work. Plain Langevin dynamics has only sandpaper.
#
# The steps go with σ², because scores go with 1/σ. What counts is α/σ²: above 4 the walk explodes, far below 0.1 it freezes.
# And a step size needs its convention beside it.
#
# In the library all this is one call, `annealed_langevin_dynamics(score_model, sigmas, n_samples, data_dim)`, with the step of
# technique 4 and the last denoising built in.
#
# Next: [4 · From NCSN to diffusion models](04_ncsn_to_diffusion_models.ipynb)
#
# ### Sources
#
# - Song & Ermon (2019), *Generative modeling by estimating gradients of the data distribution*, NeurIPS: algorithm 1, in the
#   convention of this notebook.
# - Song & Ermon (2020), *Improved techniques for training score-based generative models*, NeurIPS: technique 4, in the other
#   convention.
# - Jolicoeur-Martineau et al. (2021), *Adversarial score matching and improved sampling for image generation*, ICLR: the last
#   denoising.
# - Song et al. (2021), *Score-based generative modeling through stochastic differential equations*, ICLR: steps that follow the
#   score.
