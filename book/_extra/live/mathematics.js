// An AL-RNN with two units: its map, regions, fixed points and trajectories, in float64. Nothing here knows of a page.
//
//     z' = A z + W phi(z) + h,    phi: the identity on the first 2 - P units, max(., 0) on the last P
//
// A net is {P, A: [a1, a2], W: [[w11, w12], [w21, w22]], h: [h1, h2]}; A counts on PWL units only. The bits of a region
// say which PWL units are above 0. The tests compare every function with alrnn.regions.
"use strict";

const live = (() => {
  const TOLERANCE = 1e-9; // as in alrnn.regions
  const pwl = (net, unit) => unit >= 2 - net.P;
  const size = (z) => Math.max(1, Math.abs(z[0]), Math.abs(z[1]));

  // The state after z.
  function step(net, z) {
    const passed = z.map((x, i) => (pwl(net, i) ? Math.max(x, 0) : x));
    const own = (i) => (pwl(net, i) ? net.A[i] * z[i] : 0);
    return net.h.map((h, i) => own(i) + net.W[i][0] * passed[0] + net.W[i][1] * passed[1] + h);
  }

  // States from z on, z first; fewer than steps + 1 if they leave for infinity.
  function trajectory(net, z, steps) {
    const path = [z];
    while (path.length <= steps && size(z) < 1e6) path.push((z = step(net, z)));
    return path;
  }

  const bitsOf = (net, z) => z.slice(2 - net.P).map((x) => (x > 0 ? 1 : 0));

  // All bitcodes, 0 first.
  function regions(P) {
    const codes = [...Array(2 ** P).keys()];
    return codes.map((code) => [...Array(P).keys()].map((i) => (code >> (P - 1 - i)) & 1));
  }

  // J = A + W diag(1, ..., 1, bits)
  function jacobian(net, bits) {
    const on = [1, 1, ...bits].slice(-2);
    return [0, 1].map((i) => [0, 1].map((j) => net.W[i][j] * on[j] + (i === j && pwl(net, i) ? net.A[i] : 0)));
  }

  // Both as {re, im}, the larger modulus first.
  function eigenvalues([[a, b], [c, d]]) {
    const middle = (a + d) / 2;
    const square = ((a - d) / 2) ** 2 + b * c;
    const root = Math.sqrt(Math.abs(square));
    if (square < 0) return [{ re: middle, im: root }, { re: middle, im: -root }];
    const [far, near] = middle < 0 ? [middle - root, middle + root] : [middle + root, middle - root];
    return [{ re: far, im: 0 }, { re: near, im: 0 }];
  }

  const modulus = ({ re, im }) => Math.hypot(re, im);

  // The largest factor by which the map changes a length: its larger singular value.
  function norm([[a, b], [c, d]]) {
    const [squares, det] = [a * a + b * b + c * c + d * d, a * d - b * c];
    return (Math.sqrt(squares + 2 * Math.abs(det)) + Math.sqrt(Math.max(squares - 2 * Math.abs(det), 0))) / 2;
  }

  const product = (F, G) => F.map((row) => [0, 1].map((j) => row[0] * G[0][j] + row[1] * G[1][j]));

  // Whether products of these maps, in any order, die out: true is proven, false may be not proven. Products are made
  // longer until none is left that does not contract.
  function shrink(maps) {
    if (maps.some((J) => modulus(eigenvalues(J)[0]) >= 1 - TOLERANCE)) return false;
    let growing = maps;
    for (let length = 1; length <= 1000; length++) {
      const largest = Math.max(...growing.map(norm));
      growing = growing.filter((G) => norm(G) >= 1 - TOLERANCE);
      if (!growing.length) return true;
      if (largest > 1e6 || growing.length * maps.length > 4096) return false;
      growing = maps.flatMap((J) => growing.map((G) => product(J, G)));
    }
    return false;
  }

  // Numbers of the PWL units that are at 0.
  function atZero(net, z, tolerance) {
    const units = [...Array(net.P).keys()];
    return units.filter((i) => Math.abs(z[2 - net.P + i]) <= tolerance * size(z));
  }

  // The maps of the regions that meet where PWL units number `zero` are at 0.
  function sides(net, bits, zero) {
    const free = (code) => bits.every((bit, i) => zero.includes(i) || code[i] === bit);
    return regions(net.P).filter(free).map((code) => jacobian(net, code));
  }

  // The solution of z = J z + h for these bits, null if there is none. dimension: 0 for a point, 1 for a line along
  // `direction`, 2 if every state of the plane solves it. real: it lies in, or crosses, its own region; else virtual.
  // stable: small deviations die out; attracting: they do so across the line. border: a PWL unit is at 0, so that
  // another map holds on one side; then both are said only if all maps that meet there prove it. part: the ends, as
  // multiples of `direction` from z, of the piece of a line that lies inside the region, or null.
  function fixedPoint(net, bits) {
    const J = jacobian(net, bits);
    const E = [[1 - J[0][0], -J[0][1]], [-J[1][0], 1 - J[1][1]]];
    const values = eigenvalues(J);
    const none = { direction: null, part: null, stable: false, border: false, real: true };
    const found = { ...none, bits, eigenvalues: values, dimension: 0 };
    const det = E[0][0] * E[1][1] - E[0][1] * E[1][0];
    const largest = norm(E);
    if (largest <= TOLERANCE) {
      if (Math.hypot(...net.h) > TOLERANCE) return null;
      return { ...found, dimension: 2, z: [0, 0], attracting: true };
    }
    if (Math.abs(det) / largest > TOLERANCE * Math.max(1, largest)) {
      const z = [(E[1][1] * net.h[0] - E[0][1] * net.h[1]) / det, (E[0][0] * net.h[1] - E[1][0] * net.h[0]) / det];
      const real = z.slice(2 - net.P).every((x, i) => x > TOLERANCE * size(z) === (bits[i] === 1));
      const zero = atZero(net, z, TOLERANCE);
      const border = zero.length > 0;
      const stable = border ? shrink(sides(net, bits, zero)) : modulus(values[0]) < 1 - TOLERANCE;
      return { ...found, z, real, border, stable, attracting: stable };
    }
    // One equation is a multiple of the other: a line of solutions, or none.
    const k = Math.hypot(...E[0]) >= Math.hypot(...E[1]) ? 0 : 1;
    const length = Math.hypot(...E[k]);
    const z = E[k].map((x) => (x * net.h[k]) / length ** 2); // the one nearest to the origin
    const rest = E[1 - k][0] * z[0] + E[1 - k][1] * z[1] - net.h[1 - k];
    if (Math.abs(rest) > TOLERANCE * size(net.h)) return null;
    const direction = [-E[k][1] / length, E[k][0] / length];
    const [far] = [...values].sort((p, q) => Math.hypot(q.re - 1, q.im) - Math.hypot(p.re - 1, p.im));
    const part = inside(net, bits, z, direction);
    const short = part && part[1] - part[0] < 1e-6; // it only touches its region
    const place = short ? z.map((x, i) => x + part[0] * direction[i]) : z;
    const zero = atZero(net, place, short ? 1e-6 : TOLERANCE).filter(
      (i) => part === null || short || Math.abs(direction[2 - net.P + i]) <= TOLERANCE, // or it runs along the border
    );
    const meet = sides(net, bits, zero);
    const image = (J, x) => J.map((row) => row[0] * x[0] + row[1] * x[1]);
    const along = meet.map((J) => image(J, direction));
    const agree = along.every((x) => Math.hypot(x[0] - along[0][0], x[1] - along[0][1]) <= 1e-6);
    const normal = [-direction[1], direction[0]];
    const shrinks = (J) => Math.abs(normal[0] * image(J, normal)[0] + normal[1] * image(J, normal)[1]) < 1 - TOLERANCE;
    const attracting = modulus(far) < 1 - 1e-6 && agree && (!zero.length || meet.every(shrinks));
    return { ...found, dimension: 1, z, direction, part, real: part !== null, attracting };
  }

  // Between which a the states z + a direction lie in the region, [low, high]; null if they never do.
  function inside(net, bits, z, direction) {
    let [low, high] = [-Infinity, Infinity];
    const tiny = TOLERANCE * size(z);
    for (const [i, bit] of bits.entries()) {
      const unit = 2 - net.P + i;
      const [level, slope] = [z[unit], direction[unit]];
      if (Math.abs(slope) <= tiny) {
        if (level > tiny !== (bit === 1)) return null;
        continue;
      }
      const border = ((bit ? 1e-7 : tiny) - level) / slope; // above 0, or not above 0
      if (slope > 0 === (bit === 1)) low = Math.max(low, border);
      else high = Math.min(high, border);
    }
    return low <= high ? [low, high] : null;
  }

  // Where states from `start` on end: kind "rests", "cycles" (in `period` steps), "grows" without bound, or "wanders".
  // For the last one also the Lyapunov exponent: log of the mean factor per step by which a small deviation changes.
  function fate(net, start, steps = 4000, longest = 60) {
    const path = trajectory(net, start, steps);
    let z = path[path.length - 1];
    if (size(z) >= 1e6) return { kind: "grows", z, period: null, exponent: null };
    const next = trajectory(net, z, longest);
    const back = next.findIndex((x, k) => k && Math.hypot(x[0] - z[0], x[1] - z[1]) <= 1e-9 * size(z));
    if (back > 0) return { kind: back === 1 ? "rests" : "cycles", z, period: back, exponent: null };
    let [deviation, sum] = [[Math.SQRT1_2, Math.SQRT1_2], 0];
    for (let t = 0; t < steps; t++, z = step(net, z)) {
      const J = jacobian(net, bitsOf(net, z));
      deviation = J.map((row) => row[0] * deviation[0] + row[1] * deviation[1]);
      const factor = Math.hypot(...deviation);
      sum += Math.log(factor);
      deviation = deviation.map((x) => x / factor);
    }
    return { kind: "wanders", z, period: null, exponent: sum / steps };
  }

  return { step, trajectory, bitsOf, regions, jacobian, eigenvalues, modulus, fixedPoint, fate };
})();

if (typeof module !== "undefined") module.exports = live; // for the tests, in node
