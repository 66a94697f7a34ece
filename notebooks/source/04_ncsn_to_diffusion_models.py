# %% [markdown]
# # 4 · From NCSN to diffusion models
# {{badge}}
#
# **About 50 minutes**, of which your computer works for about one; no GPU is needed.
# You should have done [notebook 3](03_annealed_langevin_dynamics.ipynb), or know how to walk by a score $s(x, \sigma)$ from noise to data.
#
# When you are done you can
#
# - prove that predicting noise and predicting the score are one thing, and see two losses agree to the last digit;
# - build the real DDPM: its betas, its noising, its loss, its sampler;
# - turn an NCSN into a DDPM and back, without training anything;
# - train both, and show that they learn the same function;
# - run the three samplers that the Score SDE made of it, and tell a good one from a hasty one.
#
# How it goes: you **predict**, then **write** a function, then **check** it, then **look**. `check("4.1", f)` compares your
# function with an independent truth and tells you what is off. If you are stuck, open a hint, or simply go on: `.use` hands
# back your own function if it passes, and otherwise the library's, so every later cell runs. Questions are answered by putting
# a letter in place of the dots.
#
# A year after NCSN came DDPM: other words, another derivation, another sampler, and pictures that made the field famous. Here
# you take both apart, and find the same network inside.

# %%
# {{setup}}

# %%
import torch

from ncsn import GaussianMixtureScore, PreconditionedScore, ResidualMLP, sample
from ncsn.evaluation import score_error_by_level, sliced_wasserstein2
from ncsn.learn import check, gate, quiz, whose
from ncsn.learn.drawing import draw_curves, draw_fields
from ncsn.learn.practice import share_at_first, train, within_modes
from ncsn.learn.scenes import draw_by_level, draw_clouds, draw_paths
from ncsn.losses import denoising_score_matching, ncsn_loss
from ncsn.noise import create_noise_schedule, ddpm_levels

# %% [markdown]
# ## The data
#
# As in notebook 3, two modes, one with 0.2 of the mass and one with 0.8. Their exact score is known at every noise level, so
# each of your answers can be drawn beside the truth.

# %%
torch.manual_seed(0)
exact = GaussianMixtureScore(weights=[0.2, 0.8], means=[[-1.5, -1.5], [1.5, 1.5]], covariances=0.4**2)
data, held_out = exact.sample(5000), exact.sample(20_000)
print(f"share of the smaller mode among the data: {share_at_first(data, exact.means):.3f}")

# %% [markdown]
# ## One network, two readings
#
# ### Predict
#
# {{question 4.p1}}

# %%
quiz("4.p1", "a")  ### SOLUTION "a"

# %% [markdown]
# **The proof.** NCSN makes a noisy point $\tilde x = x + \sigma\varepsilon$ and trains a network $s$ to say where the noise came from,
# weighted by $\sigma^2$:
#
# $$\mathcal L_{\text{NCSN}} = \mathbb E\;\sigma^2 \left\| s(\tilde x, \sigma) + \frac{\varepsilon}{\sigma} \right\|^2.$$
#
# DDPM trains a network $\hat\varepsilon$ to say what the noise *was*:
#
# $$\mathcal L_{\text{DDPM}} = \mathbb E \left\| \hat\varepsilon(\tilde x, \sigma) - \varepsilon \right\|^2.$$
#
# Put $\sigma^2$ inside the first square: it becomes $\lVert \sigma s + \varepsilon\rVert^2$. So if one is read as the other by
#
# $$\boxed{\; s = -\hat\varepsilon / \sigma \qquad\Longleftrightarrow\qquad \hat\varepsilon = -\sigma s \;}$$
#
# the two losses are equal term by term: for each network, trained or not, for each point and each level, and so are their
# gradients.
#
# **What the optimum is.** Of all functions of $\tilde x$, the conditional mean has the smallest squared error, so the best network says
# $\hat\varepsilon^*(\tilde x) = \mathbb E[\varepsilon \mid \tilde x]$. And the score of the noisy distribution is a mean as well,
# of the conditional scores:
#
# $$\nabla \log p_\sigma(\tilde x) = \mathbb E\left[ \nabla_{\tilde x} \log p(\tilde x \mid x) \,\middle|\, \tilde x \right]
# = \mathbb E\left[ -\frac{\varepsilon}{\sigma} \,\middle|\, \tilde x \right] = -\frac{\hat\varepsilon^*(\tilde x)}{\sigma}.$$
#
# (The first step: differentiate $p_\sigma(\tilde x) = \int p(x)\, p(\tilde x \mid x)\, dx$ and divide by $p_\sigma(\tilde x)$.)
# A perfect noise predictor *is* the score, up to the factor $-1/\sigma$. ∎
#
# ### Exercise 4.1: read predicted noise as a score (5 minutes)
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
    """Return the score (N, D) that predicted noise (N, D) stands for; sigma is (N,), a level for each row."""
    ### BEGIN SOLUTION
    return -noise / sigma[:, None]
    ### END SOLUTION


# %%
score_from_noise = check("4.1", score_from_noise).use

# %% [markdown]
# Now the identity. The network below has learned nothing, and does not even hear the level; it is read both ways, on
# the same noisy points. The score's loss is
# the library's `denoising_score_matching`, which you wrote yourself in notebook 2.

# %%
untrained = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.Tanh(), torch.nn.Linear(32, 2)).double()
x0, sigma = data[:1000].double(), 0.05 * 400 ** torch.rand(1000, dtype=torch.float64)
noise = torch.randn_like(x0)
noise_loss = (untrained(x0 + sigma[:, None] * noise) - noise).square().mean()
score_loss = denoising_score_matching(lambda x, s: score_from_noise(untrained(x), s), x0, sigma, noise).mean()
print(f"DDPM's loss {noise_loss:.12f}\nNCSN's loss {score_loss:.12f}")
gate("4.1", (noise_loss - score_loss).abs())

# %% [markdown]
# **Look.** Left, the noise that a perfect predictor sees at $\sigma = 1$: it points away from the data. In the middle, it is read as a
# score; right, the exact one.


# %%
fields = {
    "predicted noise": lambda x: x - exact.denoise(x, 1.0),  # (x̃ − E[x | x̃]) / σ, where σ is 1
    f"as a score: {whose('4.1')}": lambda x: score_from_noise(x - exact.denoise(x, 1.0), torch.ones(len(x))),
    "exact score": lambda x: exact(x, 1.0),
}
figure = draw_fields(fields, data + torch.randn_like(data), (-4, 4), n_arrows=13)

# %% [markdown]
# ## The real DDPM
#
# A network that predicts noise is not yet DDPM. DDPM (Ho, Jain & Abbeel 2020) noises by a **chain** of T = 1,000 small steps,
#
# $$x_t = \sqrt{1 - \beta_t}\; x_{t-1} + \sqrt{\beta_t}\; z_t, \qquad z_t \sim \mathcal N(0, I),$$
#
# with $\beta$ growing evenly from 0.0001 to 0.02. Each step shrinks a little and shakes a little, so that data of variance 1 keep
# their variance: what NCSN lets **explode**, DDPM **preserves**. Time is discrete here: step 1, step 2, … step 1,000.
#
# > **Note.** We count steps as Python does: $t = 0$ is after the first step, $t = 999$ after the last.
#
# ### Predict
#
# {{question 4.p2}}

# %%
quiz("4.p2", "c")  ### SOLUTION "c"

# %% [markdown]
# **Derive.** After a step, the factor of the clean data is $\sqrt{1-\beta}$ times what it was. After $t$ steps it is
#
# $$\sqrt{1-\beta_t}\,\sqrt{1-\beta_{t-1}}\cdots\sqrt{1-\beta_1}\; =: \;\sqrt{\bar\alpha_t},$$
#
# so $\bar\alpha$, "alpha-bar", is the share of the data's *variance* that is left.
#
# ### Exercise 4.2: alpha-bar from the betas (5 minutes)
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
    """Return the share of the data's variance that is left after each step, (T,); betas is (T,)."""
    ### BEGIN SOLUTION
    return torch.cumprod(1 - betas, dim=0)
    ### END SOLUTION


# %%
alpha_bars = check("4.2", alpha_bars).use

# %% [markdown]
# **Look.** Left, what is left of the data and what has come in as noise; squared, they add up to 1. Right, their quotient
# $\sigma = \sqrt{1-\bar\alpha}\,/\sqrt{\bar\alpha}$, which is a noise level as NCSN has them. So **DDPM is an NCSN of 1,000 levels**, from 0.01
# to 157.

# %%
betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
alpha_bar = alpha_bars(betas)
sigmas, reference = ((1 - alpha_bar) / alpha_bar).sqrt(), ddpm_levels().flip(0)
panels = {
    "DDPM's two factors": {"data": alpha_bar.sqrt(), "noise": (1 - alpha_bar).sqrt()},
    "noise level σ": {whose("4.2"): sigmas, "the library's ddpm_levels": reference},
}
figure = draw_curves(range(1000), panels, "step t", logy=True)
gate("4.2", ((sigmas - reference) / reference).abs().max())
betas, alpha_bar, sigmas = betas.float(), alpha_bar.float(), sigmas.float()

# %% [markdown]
# ### Exercise 4.3: noise in one leap (5 minutes)
#
# Nobody walks the chain to train. A sum of independent Gaussians is a Gaussian, so all steps up to $t$ are one:
#
# $$x_t = \sqrt{\bar\alpha_t}\; x_0 + \sqrt{1 - \bar\alpha_t}\; \varepsilon .$$
#
# (The variance of the noise: if it was $1-\bar\alpha$, the next step makes it $(1-\beta)(1-\bar\alpha) + \beta = 1 - (1-\beta)\bar\alpha$. That is
# 1 minus the new $\bar\alpha$ again.)
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
    """Return x0 after the steps up to t; x0 and noise are (N, D), t (N,), whole numbers, alpha_bar (T,)."""
    ### BEGIN SOLUTION
    left = alpha_bar[t][:, None]
    return left.sqrt() * x0 + (1 - left).sqrt() * noise
    ### END SOLUTION


# %%
add_noise = check("4.3", add_noise).use

# %% [markdown]
# **Look.** Above, one leap; below, the chain, walked step by step. The gate compares them as clouds, in units of what two walks of
# the chain differ by.


# %%
def chain(x, n_steps):
    for beta in betas[:n_steps]:
        x = (1 - beta).sqrt() * x + beta.sqrt() * torch.randn_like(x)
    return x


def leap(x, n_steps):
    return add_noise(x, torch.full((len(x),), n_steps - 1), torch.randn_like(x), alpha_bar)


ways = {f"one leap: {whose('4.2', '4.3')}": leap, "the chain": chain}
clouds = {name: {f"step {n:,}": way(data, n) for n in (1, 100, 300, 1000)} for name, way in ways.items()}
figure = draw_clouds(clouds, window=4)
walked = [chain(exact.sample(5000), 300) for _ in range(10)]
apart = sum(sliced_wasserstein2(leap(exact.sample(5000), 300), x) for x in walked[:5])
gate("4.3", apart / sum(sliced_wasserstein2(x, y) for x, y in zip(walked[:5], walked[5:])))

# %% [markdown]
# ## From one scale to the other
#
# Divide DDPM's $x_t$ by $\sqrt{\bar\alpha_t}$: out comes $x_0 + \sigma\varepsilon$ with $\sigma = \sqrt{(1-\bar\alpha_t)/\bar\alpha_t}$. That is
# **exactly NCSN's noisy point**. The two do not noise differently; they look at the same cloud through another magnifying glass. People
# call NCSN's view *variance exploding* (VE), DDPM's *variance preserving* (VP).
#
# **Derive.** Let $p$ be the density in NCSN's scale at that $\sigma$. In DDPM's scale, $x = \sqrt{\bar\alpha}\, x_\text{VE}$, so the
# density there is $q(x) = p(x/\sqrt{\bar\alpha})\,/\,\sqrt{\bar\alpha}^{\,D}$. Take the logarithm and differentiate with respect to
# $x$: the constant drops out, and the chain rule brings one more factor,
#
# $$s_{\text{VP}}(x) = \frac{1}{\sqrt{\bar\alpha}}\; s_{\text{VE}}\!\left(\frac{x}{\sqrt{\bar\alpha}},\; \sigma\right),
# \qquad \sigma = \sqrt{\frac{1 - \bar\alpha}{\bar\alpha}} .$$
#
# ### Exercise 4.4: an NCSN's score in DDPM's scale (10 minutes)
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
    """Return DDPM's score (N, D) at x (N, D) from NCSN's ve_score(x, sigma); alpha_bar is a scalar tensor."""
    ### BEGIN SOLUTION
    shrunk = alpha_bar.sqrt()
    sigma = ((1 - alpha_bar) / alpha_bar).sqrt()
    return ve_score(x / shrunk, sigma) / shrunk
    ### END SOLUTION


# %%
vp_score = check("4.4", vp_score).use

# %% [markdown]
# **Look.** In DDPM's scale the truth is known, too: there the mixture has shrunk, means by $\sqrt{\bar\alpha}$ and variances by
# $\bar\alpha$, and its noise has the size $\sqrt{1-\bar\alpha}$. The figure shows step 200; the gate compares four of them.


# %%
def exact_vp_score(x, left):
    shrunk = GaussianMixtureScore(exact.weights, left.sqrt() * exact.means, left * 0.4**2)
    return shrunk(x, (1 - left).sqrt())


left = alpha_bar[200]
fields = {whose("4.4"): lambda x: vp_score(exact, x, left), "exact": lambda x: exact_vp_score(x, left)}
figure = draw_fields(fields, leap(data, 201), (-4, 4), n_arrows=13)
gaps = []
for t in (50, 200, 400, 700):
    noisy, left = leap(data, t + 1).double(), alpha_bar[t].double()
    truth = exact_vp_score(noisy, left)
    gaps.append(((vp_score(exact, noisy, left) - truth).abs() / (1 + truth.abs())).max())
gate("4.4", max(gaps))

# %% [markdown]
# ## Train both
#
# ### Predict
#
# {{question 4.p3}}

# %%
quiz("4.p3", "c")  ### SOLUTION "c"

# %% [markdown]
# ### Exercise 4.5: DDPM's loss (5 minutes)
#
# Noise the data by 4.3, ask the network what the noise was, and take the mean of the squared differences over all entries:
#
# $$\mathcal L = \mathbb E \left\| \hat\varepsilon\big(\sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon,\; t\big) -
# \varepsilon \right\|^2 .$$
#
# This is the "simple" loss of the paper (its equation 14).
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
    """Return DDPM's loss, a tensor without axes; x0, noise and network(points, t) are (N, D), t is (N,)."""
    ### BEGIN SOLUTION
    noisy = add_noise(x0, t, noise, alpha_bar)
    return (network(noisy, t) - noise).square().mean()
    ### END SOLUTION


# %%
ddpm_loss = check("4.5", ddpm_loss).use

# %% [markdown]
# Now train one of each, as their papers have them. The two get the same small network $F$ (one of the library's) and the same
# training loop (as in the notebooks before), but are as different as the papers have them:
#
# | | NCSN | DDPM |
# |---|---|---|
# | noise levels | 30, from 20 to 0.05, evenly on a log scale | 1,000 steps of $\beta$ |
# | the network sees | $\tilde x$ and $\log\sigma$ | $x_t$ and $t$ |
# | its output is | the score times $\sigma$ (the row `"scaled_score"` in the library) | the noise |
# | the loss is | notebook 2's, weighted by $\sigma^2$ | yours of 4.5 |


# %%
levels = create_noise_schedule(0.05, 20.0, 30)
ncsn_score = PreconditionedScore(ResidualMLP((2,), width=64, n_blocks=2), "scaled_score")
ddpm_network = ResidualMLP((2,), width=64, n_blocks=2)


def predicted_noise(x, t):
    return ddpm_network(x, torch.as_tensor(t).expand(len(x)) / 500 - 1)


def loss_of_4_5(x0):
    return ddpm_loss(predicted_noise, x0, torch.randint(1000, (len(x0),)), torch.randn_like(x0), alpha_bar)


print(f"NCSN: loss {train(ncsn_score, data, lambda x0: ncsn_loss(ncsn_score, x0, levels)):.3f}")
print(f"DDPM: loss {train(ddpm_network, data, loss_of_4_5):.3f}")

# %% [markdown]
# The losses differ a good deal. Now read the DDPM in NCSN's scale (4.1 and 4.4, from right to left), and hold both against the exact
# score, at six levels, as a share of the arrow's length: $\sqrt{\mathbb E\lVert s - s^*\rVert^2 / \mathbb E\lVert s^*\rVert^2}$.


# %%
def ddpm_score(x, sigma):
    t = int((sigmas - sigma).abs().argmin())
    return score_from_noise(predicted_noise(alpha_bar[t].sqrt() * x, t), sigma.expand(len(x)))


at = torch.stack([sigmas[(sigmas - wanted).abs().argmin()] for wanted in (0.2, 0.5, 1, 2, 5, 10)])
names = ("NCSN to exact", "DDPM to exact", "NCSN to DDPM")
pairs = (ncsn_score, exact), (ddpm_score, exact), (ncsn_score, ddpm_score)
size = score_error_by_level(lambda x, sigma: 0 * x, exact, held_out, at)  # of the arrows, squared
errors = {name: (score_error_by_level(*two, held_out, at) / size).sqrt() for name, two in zip(names, pairs)}
figure = draw_by_level(at, {"error, as a share of the arrow's length": errors})
for number, row in zip(("4.5a", "4.5b", "4.5c"), errors.values()):
    gate(number, max(row))

# %% [markdown]
# **Two papers, two losses, two ways to count time, and one function.** What is left between them is training error: each is about
# as far from the other as from the truth.
#
# ## Three ways back
#
# ### Exercise 4.6: DDPM's step back (10 minutes)
#
# NCSN walks back by Langevin steps. DDPM asks another question: *given $x_t$, where was $x_{t-1}$?* If $x_0$ were known, Bayes' rule
# on two Gaussians would answer exactly. It is not known, but the predicted noise implies a guess,
# $\hat x_0 = (x_t - \sqrt{1-\bar\alpha_t}\,\hat\varepsilon)/\sqrt{\bar\alpha_t}$, and with it the answer is
#
# $$x_{t-1} = \frac{1}{\sqrt{1-\beta_t}} \left( x_t - \frac{\beta_t}{\sqrt{1-\bar\alpha_t}}\, \hat\varepsilon \right)
# + \sqrt{\tilde\beta_t}\; z, \qquad \tilde\beta_t = \beta_t\, \frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t},$$
#
# with $\bar\alpha = 1$ before the first step. (The paper tries two variances, $\tilde\beta$ and $\beta$ itself, and finds little between
# them; take $\tilde\beta$.)
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
    """Return x (N, D) one step earlier; t is from 0 to T - 1, z noise like x, betas and alpha_bar (T,)."""
    ### BEGIN SOLUTION
    before = alpha_bar[t - 1] if t > 0 else torch.ones_like(alpha_bar[0])
    mean = (x - betas[t] / (1 - alpha_bar[t]).sqrt() * noise) / (1 - betas[t]).sqrt()
    variance = betas[t] * (1 - before) / (1 - alpha_bar[t])
    return mean + variance.sqrt() * z
    ### END SOLUTION


# %%
ancestral_step = check("4.6", ancestral_step).use


# %%
def walk_ancestral(noise_of, n=2000):
    x = torch.randn(n, 2)
    for t in reversed(range(1000)):
        x = ancestral_step(x, noise_of(x, t), t, betas, alpha_bar, torch.randn_like(x))
    return x


by_ddpm = walk_ancestral(predicted_noise)
gate("4.6", share_at_first(by_ddpm, exact.means))

# %% [markdown]
# ### The Score SDE
#
# Song et al. (2021) let the steps become ever smaller. Then the noising is a stochastic differential equation,
#
# $$dx = f(x, t)\,dt + g(t)\,dw,$$
#
# and NCSN and DDPM are two lines of one table:
#
# | | drift $f$ | diffusion $g$ | variance |
# |---|---|---|---|
# | NCSN (VE) | $0$ | $\sqrt{d\sigma^2/dt}$ | explodes |
# | DDPM (VP) | $-\tfrac12 \beta(t)\, x$ | $\sqrt{\beta(t)}$ | is preserved |
#
# **This** is where continuous time comes in: DDPM itself has 1,000 steps. With $dt = 1/1000$, its $\beta_t$ is $\beta(t)\,dt$, and indeed
# $\sqrt{1-\beta_t}\; x \approx x - \tfrac12 \beta_t\, x$.
#
# Time can be turned round (Anderson 1982), and all that is needed is the score. And there is a second way, without any noise,
# with *the same distribution at each time*:
#
# $$\text{reverse SDE:}\quad dx = \left[f - g^2 s\right] dt + g\, d\bar w \qquad\qquad
# \text{probability-flow ODE:}\quad dx = \left[f - \tfrac12 g^2 s\right] dt$$
#
# with $dt < 0$: time runs backwards. How can both be right? Subtract them: over a time $|dt|$ the SDE moves $\tfrac12 g^2 s\,|dt|$ more and
# adds noise of variance $g^2 |dt|$. That is one step of **Langevin dynamics** of size $g^2 |dt|$, and Langevin dynamics leaves its
# distribution as it is. You have met it in notebook 3.
#
# ### Predict
#
# {{question 4.p4}}

# %%
quiz("4.p4", "b")  ### SOLUTION "b"

# %% [markdown]
# ### Exercise 4.7: a step back in time (5 minutes)
#
# One function for both: `stochastic` says which. Here `dt` is a *positive* length: the step goes from $t$ to $t - dt$. `x`, `score`,
# `f` and `z` are (N, D), `dt` is a number, and `g` a number, too, as a tensor.
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
    """Return x a time dt earlier, by the reverse SDE if stochastic, else by the probability-flow ODE."""
    ### BEGIN SOLUTION
    if stochastic:
        return x - (f - g**2 * score) * dt + g * dt**0.5 * z
    return x - (f - 0.5 * g**2 * score) * dt
    ### END SOLUTION


# %%
reverse_step = check("4.7", reverse_step).use

# %% [markdown]
# Both walks, with the DDPM's score: the same network, never trained for either. The walk takes any score model in NCSN's scale, read in
# DDPM's by your 4.4. To see the paths, 24 particles are followed along the diagonal on which both modes lie.


# %%
def walk_back(score_model, stochastic, stride):
    generator = torch.Generator().manual_seed(1)
    places = [torch.randn(2000, 2, generator=generator)]
    for t in range(999, -1, -stride):
        x, z, beta = places[-1], torch.randn(2000, 2, generator=generator), 1000 * betas[t]
        score = vp_score(score_model, x, alpha_bar[t])
        places.append(reverse_step(x, score, -beta / 2 * x, beta.sqrt(), stride / 1000, z, stochastic))
    return torch.stack(places)


by_sde = walk_back(ddpm_score, True, stride=2)
by_flow = walk_back(ddpm_score, False, stride=5)
gate("4.7a", share_at_first(by_sde[-1], exact.means))
gate("4.7b", share_at_first(by_flow[-1], exact.means))

# %% [markdown]
# **Look.** Behind the paths, in grey, where data lie that are noised up to each time. Above, the walks with the trained network; below, with the exact
# score, from the same starts and with the same noise: path by path they nearly agree, except at the watershed between the modes.
# The SDE's paths are rough, the flow's are smooth. Both fill the same grey.


# %%
learned = {"reverse SDE": by_sde, "probability-flow ODE": by_flow}
truth = {"reverse SDE": walk_back(exact, True, 2), "probability-flow ODE": walk_back(exact, False, 5)}
noised = [leap(held_out, t + 1) for t in range(0, 1000, 10)]
figure = draw_paths({"the trained DDPM": learned, "the exact score": truth}, noised, "step t, walked back")

# %% [markdown]
# ### The last proof
#
# If NCSN and DDPM are the same, then DDPM's sampler must run on the NCSN. It has never seen a $\beta$. Your 4.4 reads it in DDPM's scale,
# and $-\sqrt{1-\bar\alpha}$ makes noise of its score.

# %%
by_ncsn = walk_ancestral(lambda x, t: -(1 - alpha_bar[t]).sqrt() * vp_score(ncsn_score, x, alpha_bar[t]))
gate("4.7c", share_at_first(by_ncsn, exact.means))

# %% [markdown]
# **Look.** All of them, beside data and beside what the library's ancestral sampler makes of the exact score. And one more: the reverse
# SDE in haste, 10 steps instead of 500. Two figures judge them. The *share* of the smaller mode has a standard error of 0.009 in
# 2,000 draws. It would drown every other difference in a distance between whole clouds, so the distance is taken *within the modes*: each
# point seen from the middle of its own mode. No distance goes without its floor, which is that of fresh data.


# %%
results = {
    "DDPM, ancestral": (by_ddpm, 1000),
    "DDPM, reverse SDE": (by_sde[-1], 500),
    "DDPM, flow": (by_flow[-1], 200),
    "NCSN, ancestral": (by_ncsn, 1000),
    "reverse SDE in haste": (walk_back(ddpm_score, True, stride=100)[-1], 10),
    "library, exact score": (sample(exact, ddpm_levels().float(), 2000, 2, sampler="ancestral"), 1000),
    "data": (data[:2000], 0),
}
distances = [within_modes(x, held_out, exact.means) for x, _ in results.values()]
floors = [within_modes(exact.sample(2000), held_out, exact.means) for _ in range(20)]
print(f"{'':22}network calls   smaller mode   within modes")
for (name, (x, calls)), distance in zip(results.items(), distances):
    print(f"{name:22}{calls:13,}{share_at_first(x, exact.means):15.3f}{distance:15.4f}")
print(f"the floor: twenty fresh draws of 2,000 data have {min(floors):.4f} to {max(floors):.4f} within modes")
figure = draw_clouds({"": {name: x for name, (x, _) in results.items()}}, window=3.5, size=1.8, n_reference=2)
gate("4.7d", max(distances[:4]) / (sum(floors) / len(floors)))

# %% [markdown]
# *What the picture shows:* the four walks look like the data. The table sees more: they lie at the floor within the modes or a little above
# it, which is the networks' error. The hasty walk lies far above, with modes a quarter too wide, as its steps are too long where the modes
# get their shape. Its *share* is as good as any: shares are decided early, when the steps were short enough.
#
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
# | 2022 | EDM (Karras et al.) | $\sigma$ as the only coordinate, all the choices side by side | continuous |
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
# ## What to take along
#
# **All modern diffusion models with Gaussian noise are score-based at their core.** Predicting noise, predicting the clean data and
# predicting the score are one function in three scales; DDPM is an NCSN that looks at its data through a shrinking glass; and
# ancestral sampling, the reverse SDE and the flow are three ways to follow the same arrows.
#
# > **Note.** *Gaussian* matters. Discrete diffusion, for text for instance (D3PM, Austin et al. 2021), noises by swapping or masking
# > symbols. There is no gradient with respect to a word, so no score in this sense; ratios of probabilities take its place (Lou et
# > al. 2024).
#
# ## Where to go from here
#
# - Five projects lie in the project's folder `examples/`, with their results in `docs/exercises/`: schedules compared, adaptive steps,
#   classes, an animation of the score field, and NCSN against DDPM in quality and time.
# - Your own data: `ncsn plan DATA` says which settings they lead to and why, and `ncsn train DATA --out DIR` trains.
# - `ncsn learn` shows what you have done, and what is left.
#
# ### Sources
#
# - Ho, Jain & Abbeel (2020), *Denoising diffusion probabilistic models*, NeurIPS: the chain, the loss and the step back.
# - Song et al. (2021), *Score-based generative modeling through stochastic differential equations*, ICLR: the reverse SDE and the flow.
# - Anderson (1982), *Reverse-time diffusion equation models*, Stochastic Processes and their Applications 12.
