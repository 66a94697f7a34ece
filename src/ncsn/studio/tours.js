// Five guided tours: each step says something, sets something, and may start the training or the particles.

const TWO = [[0.2, -1.4, -1.2, 0.3], [0.8, 1.4, 1.2, 0.3]];

export const TOURS = [
  {
    title: "Why plain Langevin gets stuck",
    anywhere: true,
    steps: [
      {
        text: "Two clusters hold a fifth and four fifths of the points. A walk that follows their score, with the right amount of chance, should visit each as often. Here it follows the exact score at one small noise level: watch the bars below the particles.",
        settings: { data: "mixture", mixture: TWO, samplers: ["langevin"], score: "exact", sigma: 0.15, step: 0.2, langevin_steps: 1000 },
        run: ["walk"],
      },
      {
        text: "Each walk fell into the cluster that was nearer to its start, and stays: between the clusters lies a gap that steps of this size do not cross. So the shares are those of the start, not of the data, however long you wait, and no better network would help.",
        section: "particles",
      },
      {
        text: "Annealed Langevin dynamics starts from the same noise but walks down twenty levels. At large noise there is no gap, so the shares settle there and are kept on the way down. The mark on a bar is the truth, its whisker what chance allows. A few too many stay in the smaller cluster, from too few steps where the two part: take more steps a level, and see.",
        settings: { data: "mixture", mixture: TWO, samplers: ["langevin", "annealed_langevin"], score: "exact", sigma: 0.15, step: 0.2, langevin_steps: 1000, levels: 20, per_level: 20 },
        run: ["walk"],
      },
      {
        text: "Now drag the modes together in the picture of the data until plain Langevin dynamics gets the shares right too: it does where walks can cross at its level. Raise sigma instead, and it crosses as well, but ends in a blur.",
        section: "data",
      },
    ],
  },
  {
    title: "Sigma as a zoom",
    anywhere: true,
    steps: [
      {
        text: "Noise of standard deviation sigma is added to every point. At large noise the roll is one blob, and all arrows point to its middle.",
        settings: { data: "swiss_roll", sigma: 1.5 },
        section: "field",
      },
      {
        text: "With less noise the arms come apart. Drag sigma slowly down, and see the arrows turn from the middle to the nearest arm, little by little: each level starts where the one before left off.",
        settings: { data: "swiss_roll", sigma: 0.3 },
        section: "field",
      },
      {
        text: "At small noise the score knows the detail and nothing else: between the arms it points to the nearer one, whether there are many points or few.",
        settings: { data: "swiss_roll", sigma: 0.06 },
        section: "field",
      },
      {
        text: "A sampler zooms in: it starts at the largest noise, and follows the score of each level in turn.",
        settings: { data: "swiss_roll", samplers: ["annealed_langevin"], score: "exact", levels: 30, per_level: 10, step: 0.3 },
        run: ["walk"],
      },
    ],
  },
  {
    title: "What the loss hides",
    steps: [
      {
        text: "A network learns the moons. The loss at each level has a floor, the loss of the exact score: below it no network can go, because the noise that was added cannot be known.",
        settings: { data: "moons", method: "edm", sigma: 0.1 },
        run: ["train"],
        section: "training",
      },
      {
        text: "At small noise the floor is near 1, so a loss of 1 may belong to a perfect network or to one that has learned nothing. What counts is what lies above the floor, the curve of the error: a hundred times smaller, and seen in no loss.",
        section: "training",
      },
      {
        text: "The third picture shows that error in the plane, as the length of the difference times sigma. Where there are hardly any noisy points the network has seen nothing, and the loss does not mind; a walk that starts there does.",
        settings: { data: "moons", method: "edm", sigma: 0.1 },
        section: "field",
      },
      {
        text: "The page's network as it is printed hears sigma itself and must answer with the raw score. Train it beside, and compare at small sigma: its loss curve lies above the floor where the other's does not.",
        settings: { data: "moons", method: "edm", printed: true, sigma: 0.05 },
        run: ["train"],
        section: "field",
      },
    ],
  },
  {
    title: "From NCSN to DDPM",
    steps: [
      {
        text: "NCSN, of 2019: a network learns the score at levels of constant ratio, and annealed Langevin dynamics walks down. Here it is asked for the score times sigma, as its second version of 2020 is.",
        settings: { data: "rings", method: "ncsn", samplers: ["annealed_langevin"], score: "learned" },
        run: ["train"],
        section: "training",
      },
      {
        text: "DDPM, of 2020, shrinks the points as it adds noise. Divide by the shrinking, and its points are these points at a level sigma: the same score, learned at other levels, from another scaling of the input.",
        settings: { data: "rings", method: "ddpm", samplers: ["ancestral"], score: "learned" },
        run: ["train"],
        section: "training",
      },
      {
        text: "So DDPM's network can be asked for its score at any sigma. Hold it against the exact one, and slide.",
        settings: { data: "rings", method: "ddpm", samplers: ["ancestral"], score: "learned", sigma: 0.4 },
        section: "field",
      },
      {
        text: "And each one's sampler walks with the other's score. Let the training come to its end, and press again. From one start: Langevin's steps, DDPM's ancestral ones, and the flow without any fresh noise, all over the network of DDPM.",
        settings: { data: "rings", method: "ddpm", samplers: ["annealed_langevin", "ancestral", "ddim"], score: "learned", levels: 50, per_level: 4 },
        run: ["walk"],
      },
    ],
  },
  {
    title: "Ten evaluations",
    steps: [
      {
        text: "What costs time is each call of the network. Four samplers start from the same noise and walk down the levels, with the exact score, so that what is wrong is their own: first with 40 levels.",
        settings: { data: "swiss_roll", score: "exact", grid: "softened", levels: 40, samplers: ["ddim", "heun", "dpmpp_2m", "ancestral"] },
        run: ["walk"],
      },
      {
        text: "Now with ten levels. Heun's method calls twice a level; the others once. The exact score puts all of them on the roll in the end, but not in the right numbers along it: measured on a thousand particles, Euler's method (ddim) and the ancestral steps end about twice as far from the data as fresh points are, Heun's method and the multistep solver (dpmpp 2m), which remembers its last answers, no further.",
        settings: { data: "swiss_roll", score: "exact", grid: "softened", levels: 10, samplers: ["ddim", "heun", "dpmpp_2m", "ancestral"] },
        run: ["walk"],
      },
      {
        text: "Where the levels lie matters as much. With the same ten on a linear scale nearly all are spent on large noise, and the last step is so long that particles of none of the four end on the roll.",
        settings: { data: "swiss_roll", score: "exact", grid: "linear", levels: 10, samplers: ["ddim", "heun", "dpmpp_2m", "ancestral"] },
        run: ["walk"],
      },
    ],
  },
];
