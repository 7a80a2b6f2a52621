"use strict";

// Networks to start from; every number lies on the grid of the sliders. The note says what to look for.
live.presets = {
  "a stable point": {
    net: { P: 2, A: [0.5, 0.5], W: [[0, -0.2], [-0.2, 0]], h: [0.5, 0.5] }, start: [-1, 1.5], view: 2,
    note: "Two units that inhibit each other weakly. Wherever you start, the state comes to the one real fixed " +
      "point; the crosses belong to regions in which they do not lie. Now lower W₁₂ and W₂₁ together.",
  },
  "a line attractor": {
    net: { P: 2, A: [0.5, 0.5], W: [[0, -0.5], [-0.5, 0]], h: [0.5, 0.5] }, start: [1.2, 0.8], view: 2,
    note: "The same units with inhibition 0.5: the point has become a line, and the state stays where it reaches it. " +
      "One eigenvalue of region 11 is exactly 1. The smallest change of W₁₂ or W₂₁ breaks the line.",
  },
  "two stable points": {
    net: { P: 2, A: [0.5, 0.5], W: [[0, -1], [-1, 0]], h: [0.5, 0.5] }, start: [1.2, 1], view: 2,
    note: "Inhibition 1: a memory of one bit. Two stable points, and between them a saddle on the border of their " +
      "basins. Raise h₁ until one of the two is lost: at a border it meets the saddle, and both turn virtual.",
  },
  "a limit cycle": {
    net: { P: 2, A: [0.3, 0.3], W: [[0, -1], [1, 0]], h: [1, 0] }, start: [0.3, 0.1], view: 2.5,
    note: "Unit 1 excites unit 2, which inhibits unit 1. The one real fixed point is unstable, and the state ends on a " +
      "cycle around it, the same from almost everywhere.",
  },
  "a linear rotation": {
    net: { P: 0, A: [0, 0], W: [[0.8, -0.6], [0.6, 0.8]], h: [0, 0] }, start: [1.2, 0], view: 2,
    note: "No nonlinear unit. The state goes round, but on a circle that the start decides, and only while the " +
      "eigenvalues lie exactly on the unit circle. Change W₁₁ by 0.05. No linear net has a limit cycle.",
  },
  "the exact adding net": {
    net: { P: 1, A: [0, 0], W: [[1, 1], [0, 0]], h: [0, -1] }, start: [0.5, 0.7], view: 1.5,
    note: "Unit 1 remembers, unit 2 is the gate. Start above the border, as after a marked number z₂: one step later " +
      "it has been added to z₁, and there it stays, on a line of fixed points. Start below: nothing is added.",
  },
  "chaos, one PWL unit": {
    net: { P: 1, A: [0, 0.9], W: [[-1.15, 1.35], [-0.9, -1.6]], h: [0.1, 1] }, start: [0.5, 0.5], view: 3,
    note: "Two linear maps take turns, and the state neither settles nor leaves. One nonlinear unit is enough for " +
      "chaos; linear nets have none. Move the start by 0.05: after some steps the path is another one.",
  },
  "chaos, two PWL units": {
    net: { P: 2, A: [0.7, 0.4], W: [[-1.9, -1.6], [0.4, -1.85]], h: [0.85, 0.3] }, start: [0.5, 0.2], view: 1.5,
    note: "Here the path visits all four regions. Every fixed point in the table that is real is unstable.",
  },
};
