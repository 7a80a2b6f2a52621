// How weights start, as alrnn.Init draws them: normal numbers, plus a structure on the first units.
"use strict";

function makeStart() {
  const slow = { kind: "slow", units: Infinity, pwl: 1, W: 0.01, C: 0.1, D: 0.1, threshold: 0 };
  const nothing = { ...slow, kind: "near zero", pwl: 0 };
  const starts = { // of the chapters, for each task
    adding: { slow: { ...slow, units: 5, C: 0.5, threshold: -0.3 }, nothing },
    inversion: { slow: { ...slow, C: 0.2 }, nothing },
    copy: { slow: { ...slow, W: 0.05, C: 0.3 }, nothing },
  };

  // Weights of one net, by name, row by row. Nets of one seed share their draws whatever P is.
  function draw(start, { M, P, N, O }, random) {
    const normal = (n) => Float64Array.from({ length: n }, random.normal);
    const [A, W, C, h, D] = [M, M * M, M * N, M, O * M].map(normal);
    const near = start.kind === "slow" ? 0 : start.W;
    const times = (x, factor) => x.map((value) => value * factor);
    const weights = {
      A: A.map((a, i) => (i < M - P ? 0 : near * a)), W: times(W, start.W), C: times(C, start.C),
      h: h.map((x, i) => near * x + (i < M - P ? 0 : start.threshold)), D: times(D, start.D), b: new Float64Array(O),
    };
    for (let i = 0; i < Math.min(M, start.units); i++)
      weights.W[i * M + i] += i >= M - P ? start.pwl : start.kind === "slow" ? 1 : 0;
    return weights;
  }

  return { starts, draw };
}

if (typeof module !== "undefined") module.exports = makeStart;
