// The recurrence of recurrence.py, forward and backward, for many nets at once. The mathematics stands there; here is how it
// is laid out so that a processor core stays busy. All of it rests on four ideas.
//
// 1. Lanes. Sequences do not talk to each other, so they lie side by side in vector registers: one vector holds one unit of
//    V sequences. A chunk of up to NV vectors of sequences of one net is one task, and tasks are shared out among threads.
//    Every matrix of a chunk is a list of rows (units), each row `lanes` numbers (sequences) long.
// 2. Tiles. In Y += W X each number loaded into a register should be used many times. A tile of R rows of Y stays in
//    registers while all of W's columns pass by: R * NV multiply-adds for R + NV loads. W is packed in the order it is read.
// 3. Cache. Everything a time step needs (W, one row of states) fits the first-level cache. The backward pass collects the
//    gradients of a block of steps and the matching states, and only then adds their products to dW, while they are in cache.
// 4. Order. How sums are split depends on the shapes alone, never on the threads: the same input gives the same bits.
//
// The vector types are those of GCC and Clang, so no instruction set is named. The file includes itself for float and double.
#ifndef REAL

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__AVX512F__)
#define BYTES 64 // of a vector register
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#if defined(__AVX512F__) || defined(__aarch64__) // 32 vector registers, elsewhere 16
#define R 10                                     // rows of a tile: R * NV registers hold sums
#define RS 8                                     // and of a smaller one, for M that it fits better
#define RX 5                                     // rows and columns of a tile of dW: RX * RX sums
#else
#define R 5
#define RS 4
#define RX 3
#endif
#define NV 2 // vectors of a chunk
#define BLOCK_BYTES (384 << 10) // of gradients and states collected before they enter dW: part of a second-level cache
#define AHEAD 3                 // steps between asking memory for numbers and needing them
#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__) // at -O3 it unrolls loops of constant length by itself
#define UNROLLED
#else // gcc is as good at -O2 and much quicker, if it is told which loops go over numbers that stay in registers
#pragma GCC optimize("O2")
#define UNROLLED _Pragma("GCC unroll 16")
#endif
#define SHARED static __attribute__((noinline)) // compiled once, whoever calls it

typedef int64_t I;

typedef struct { // the fields of kernel.py's _Job, in the same order; a gradient that is not wanted is NULL
  const void *s, *z0, *A, *W, *C, *h, *lower, *grad; // C may be NULL. All but s and grad are contiguous
  void *z, *marks;                                   // the last `last` states, (K, last, M, B), and what backward needs
  void *ds, *dz0, *dA, *dWC, *dh, *dlower;           // (K, T, N, B), (K, M, B), and (K, chunks, ...): one part a chunk
  I K, B, T, M, N, last;
  I s_stride[4], grad_stride[4]; // of (K, B, T, N) and (K, B, last, M), in numbers
  I lanes, block;                // sequences of a chunk; steps of a block
  I every, marked;               // marks, (K, marked, M, B), holds every `every`-th state
  I P, L;                        // leaps only: PWL units, steps of a leap
  I threads, room;               // room: bytes of working memory for each thread
  char *memory;                  // threads * room, aligned to 64
} Job;

typedef struct { // what the threads of one call share
  const Job *job;
  void (*task)(const Job *, I net, I chunk, void *memory);
  I threads, next; // that have begun; task to be taken next
} Pool;

INLINE I round_up(I n, I step) { return (n + step - 1) / step * step; }
INLINE I rows_of(I n) { return (n + R) | 1; } // room for n rows in whole tiles; odd, lest steps crowd in one part of a cache
INLINE I tile_of(I rows) { return round_up(rows, R) > round_up(rows, RS) ? RS : R; }
INLINE I at(I i, I j, I cols, I tile) { return (i / tile * cols + j) * tile + i % tile; } // in w[rows / tile][cols][tile]

// Denormal numbers (in float those below 1e-38) are set to zero here: they cost a hundred times more than others and carry
// no information.
INLINE uint64_t flush_denormals(void) {
#if defined(__SSE2__)
  unsigned old = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(old | 0x8040);
#elif defined(__aarch64__)
  uint64_t old;
  __asm__ volatile("mrs %0, fpcr" : "=r"(old));
  __asm__ volatile("msr fpcr, %0" ::"r"(old | (1 << 24)));
#else
  unsigned old = 0;
#endif
  return old;
}

INLINE void restore(uint64_t old) {
#if defined(__SSE2__)
  __builtin_ia32_ldmxcsr((unsigned)old);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" ::"r"(old));
#else
  (void)old;
#endif
}

static void *work(void *shared) { // take the next task until none is left
  Pool *pool = shared;
  const Job *job = pool->job;
  I chunks = (job->B + job->lanes - 1) / job->lanes;
  char *memory = job->memory + job->room * __atomic_fetch_add(&pool->threads, 1, __ATOMIC_RELAXED);
  uint64_t mode = flush_denormals();
  for (I n; (n = __atomic_fetch_add(&pool->next, 1, __ATOMIC_RELAXED)) < job->K * chunks;)
    pool->task(job, n / chunks, n % chunks, memory);
  restore(mode);
  return NULL;
}

// Threads live for one call only (some 20 microseconds each), so nothing is left over that a fork could break.
static void run(const Job *job, void (*task)(const Job *, I, I, void *)) {
  Pool pool = {job, task, 0, 0};
  pthread_t helper[64];
  I helpers = 0;
  while (helpers < job->threads - 1 && helpers < 64 && !pthread_create(&helper[helpers], NULL, work, &pool)) helpers++;
  work(&pool);
  while (helpers) pthread_join(helper[--helpers], NULL);
}

// Fresh memory costs more than what is computed in it, page by page. Where the system knows larger pages, ask for those.
static void large_pages(void *from, I bytes) {
#ifdef MADV_HUGEPAGE
  const uintptr_t begin = ((uintptr_t)from + 4095) & ~(uintptr_t)4095, end = (uintptr_t)from + (uintptr_t)bytes;
  if (from && bytes > 4 << 20) madvise((void *)begin, (end - begin) & ~(uintptr_t)4095, MADV_HUGEPAGE);
#else
  (void)from, (void)bytes;
#endif
}

#define REAL float
#define INT int32_t
#define NAME(x) x##_float
#include "kernel.c"
#undef REAL
#undef INT
#undef NAME
#define REAL double
#define INT int64_t
#define NAME(x) x##_double
#include "kernel.c"

// Sequences of a chunk: as many as fit NV vectors, but fewer when there are too few nets to occupy several cores.
static I share_out(Job *job, I size) {
  I v = BYTES / size, n = NV;
  while (n > 1 && (job->K * ((job->B + n * v - 1) / (n * v)) < 4 || n * v >= job->B + v)) n--;
  job->lanes = n * v;
  return n * BYTES; // of one row
}
INLINE I between(I low, I n, I high) { return n < low ? low : n > high ? high : n; }

void alrnn_plan(Job *job, I size) {
  const I row = share_out(job, size), J = job->M + job->N;
  job->block = between(1, BLOCK_BYTES / ((job->M + J) * row), job->T);
  const I gp = rows_of(job->M), xp = rows_of(J); // see `backward`
  job->room = ((job->block + 2) * gp + (job->block + 3) * xp + 3 * job->M) * row + round_up(2 * xp * J * size, 64);
}
void alrnn_forward(const Job *job, I size) {
  large_pages(job->z, job->K * job->last * job->M * job->B * size);
  run(job, size == 4 ? forward_float : forward_double);
}
void alrnn_backward(const Job *job, I size) {
  large_pages(job->ds, job->K * job->T * job->N * job->B * size);
  run(job, size == 4 ? backward_float : backward_double);
}

void alrnn_leap_plan(Job *job, I size) {
  const I row = share_out(job, size), v = job->L * job->P, rows = v + job->M, cols = rows + job->L * job->N;
  job->block = between(1, BLOCK_BYTES / ((rows + cols) * row), job->T / job->L);
  const I gp = rows_of(rows), xp = rows_of(cols); // see `leap_backward`
  job->room = ((job->block + 2) * (gp + xp) + rows) * row + round_up((xp * (gp + rows_of(job->M)) + job->L * gp * job->P) * size, 64);
}
void alrnn_leap_forward(const Job *job, I size) {
  large_pages(job->marks, job->K * (job->T / job->L) * (job->L * job->P + job->M) * job->B * size);
  run(job, size == 4 ? leap_forward_float : leap_forward_double);
}
void alrnn_leap_backward(const Job *job, I size) {
  run(job, size == 4 ? leap_backward_float : leap_backward_double);
}

#else // once for float, once for double

#define V ((I)(BYTES / sizeof(REAL)))
#define vec NAME(vec)
#define ivec NAME(ivec)
#define loose NAME(loose)
#define part NAME(part)
typedef REAL vec __attribute__((vector_size(BYTES)));
typedef REAL loose __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias)); // anywhere in memory
typedef REAL part __attribute__((vector_size(16))); // what every machine can add up quickly
typedef INT ivec __attribute__((vector_size(BYTES)));

// `where` is all ones or all zeros in each lane, as vector comparisons give it
INLINE vec NAME(select)(ivec where, vec a, vec b) { return (vec)((where & (ivec)a) | (~where & (ivec)b)); }

// WebAssembly cannot be told to flush denormals; there gradients that have all but died out are set to zero here.
INLINE vec NAME(alive)(vec x) {
#ifdef __wasm__
  const vec least = (REAL)1e-30 - (vec){0};
  return NAME(select)((x < least) & (x > -least), (vec){0}, x);
#else
  return x;
#endif
}

INLINE REAL NAME(total)(vec v) {
  part p[BYTES / 16];
  memcpy(p, &v, sizeof v);
  for (I i = 1; i < BYTES / 16; i++) p[0] += p[i];
  REAL sum = p[0][0];
  for (I l = 1; l < 16 / (I)sizeof(REAL); l++) sum += p[0][l];
  return sum;
}

// Rows of n numbers, `row` apart, each `lane` apart, into rows of nv vectors; what lies beyond n is zero.
SHARED void NAME(load)(vec *x, I rows, I n, I nv, const REAL *from, I lane, I row) {
  if (lane == 1 && n == nv * V)
    for (I i = 0; i < rows; i++)
      for (I q = 0; q < nv; q++) x[i * nv + q] = *(const loose *)(from + i * row + q * V);
  else
    for (I q = 0; q < nv; q++, from += V * lane, n -= V)
      for (I i = 0; i < rows; i++) {
        vec v = {0};
        if (n >= V)
          for (I l = 0; l < V; l++) v[l] = from[l * lane + i * row];
        else
          for (I l = 0; l < n; l++) v[l] = from[l * lane + i * row];
        x[i * nv + q] = v;
      }
}

// Ask for these numbers early, into the second-level cache: processors foresee one walk through memory, not a hundred.
SHARED void NAME(fetch)(const REAL *from, I rows, I n, I lane, I row) {
  const I outer = lane == 1 ? rows : n, inner = lane == 1 ? n : rows, far = lane == 1 ? row : lane;
  for (I i = 0; i < outer; i++)
    for (I j = 0; j < inner; j += 64 / (I)sizeof(REAL)) __builtin_prefetch(from + i * far + j, 0, 2);
}

SHARED void NAME(store)(REAL *to, I row, const vec *x, I rows, I n, I nv) {
  for (I i = 0; i < rows; i++, to += row, x += nv) {
    if (n == nv * V)
      for (I q = 0; q < nv; q++) *(loose *)(to + q * V) = x[q];
    else
      memcpy(to, x, n * sizeof(REAL));
  }
}

// Lanes without a sequence are kept at zero, lest they grow to infinity and spoil a sum.
INLINE void NAME(clear)(vec *x, I rows, I n, I nv) {
  for (I i = 0; n < nv * V && i < rows; i++) memset((REAL *)(x + i * nv) + n, 0, (nv * V - n) * sizeof(REAL));
}

// Columns from `first` of w, a packed matrix of J columns, = W, whose rows and columns are `down` and `right` apart;
// rows filled up with zeros
SHARED void NAME(pack)(REAL *w, I J, I first, const REAL *W, I down, I right, I rows, I cols) {
  const I tile = tile_of(rows);
  w += first * tile;
  for (I i = 0; i < rows; i += tile, w += (J - cols) * tile)
    for (I j = 0; j < cols; j++, w += tile)
      for (I r = 0; r < tile; r++) w[r] = i + r < rows ? W[(i + r) * down + j * right] : 0;
}

INLINE void NAME(tile)(I rows, I nv, I cols, const REAL *w, const vec *x, const vec *from, vec *y) {
  vec sum[R][NV];
  UNROLLED for (I r = 0; r < rows; r++)
    UNROLLED for (I q = 0; q < nv; q++) sum[r][q] = from[r * nv + q];
  for (I j = 0; j < cols; j++, w += rows, x += nv)
    UNROLLED for (I r = 0; r < rows; r++)
      UNROLLED for (I q = 0; q < nv; q++) sum[r][q] += w[r] * x[q];
  UNROLLED for (I r = 0; r < rows; r++)
    UNROLLED for (I q = 0; q < nv; q++) y[r * nv + q] = sum[r][q];
}

// Y = from + W X; Y may be where `from` is
SHARED void NAME(multiply)(I nv, I rows, I cols, const REAL *w, const vec *x, const vec *from, vec *y) {
  const I tile = tile_of(rows);
  for (I i = 0; i < rows; i += tile, w += cols * tile, from += tile * nv, y += tile * nv) switch (tile * NV + nv) { // constants: loops unroll
    case R * NV + 1: NAME(tile)(R, 1, cols, w, x, from, y); break;
    case R * NV + 2: NAME(tile)(R, 2, cols, w, x, from, y); break;
    case RS * NV + 1: NAME(tile)(RS, 1, cols, w, x, from, y); break;
    case RS * NV + 2: NAME(tile)(RS, 2, cols, w, x, from, y); break;
    }
}

// dW[rows][cols] += G X^T, summed over lanes and steps: RX x RX sums in registers. Rows of step t begin at t * step.
SHARED void NAME(outer)(I nv, I steps, I rows, I cols, const vec *g, I gstep, const vec *x, I xstep, REAL *dW) {
  for (I i = 0; i < rows; i += RX)
    for (I j = 0; j < cols; j += RX) {
      vec sum[RX][RX];
      memset(sum, 0, sizeof sum);
      for (I t = 0; t < steps; t++)
        for (I q = 0; q < nv; q++) {
          const vec *a = g + t * gstep + i * nv + q, *b = x + t * xstep + j * nv + q;
          UNROLLED for (I r = 0; r < RX; r++)
            UNROLLED for (I c = 0; c < RX; c++) sum[r][c] += a[r * nv] * b[c * nv];
        }
      for (I r = 0; r < RX && i + r < rows; r++)
        for (I c = 0; c < RX && j + c < cols; c++) dW[(i + r) * cols + j + c] += NAME(total)(sum[r][c]);
    }
}

typedef struct { // one chunk of one net
  I k, b, n, nv, J; // net, first sequence, sequences, vectors, columns of W and C side by side
  const REAL *s, *z0, *A, *h, *lower;
  REAL *mark, *w;
} NAME(Chunk);

static NAME(Chunk) NAME(open)(const Job *job, I k, I chunk, REAL *w) {
  const I M = job->M, N = job->N, b = chunk * job->lanes, n = job->B - b < job->lanes ? job->B - b : job->lanes;
  const I J = job->C ? M + N : M;
  NAME(pack)(w, J, 0, (const REAL *)job->W + k * M * M, M, 1, M, M);
  if (job->C) NAME(pack)(w, J, M, (const REAL *)job->C + k * M * N, N, 1, M, N);
  return (NAME(Chunk)){k, b, n, (n + V - 1) / V, J,
    (const REAL *)job->s + k * job->s_stride[0] + b * job->s_stride[1], (const REAL *)job->z0 + (k * job->B + b) * M,
    (const REAL *)job->A + k * M, (const REAL *)job->h + k * M, (const REAL *)job->lower + k * M,
    (REAL *)job->marks + k * job->marked * M * job->B + b, w};
}

// y = the state before step t, a multiple of `every`
static void NAME(recall)(const Job *job, const NAME(Chunk) *c, I t, vec *y) {
  if (t == 0) NAME(load)(y, job->M, c->n, c->nv, c->z0, job->M, 1);
  else NAME(load)(y, job->M, c->n, c->nv, c->mark + (t / job->every - 1) * job->M * job->B, 1, job->B);
}

// next = A y + h + W phi(y) + C s_t; x is room for phi(y) and, below it, s_t. `next` may be y itself.
static void NAME(step)(const Job *job, const NAME(Chunk) *c, I t, const vec *y, vec *x, vec *next) {
  const I M = job->M, nv = c->nv;
  NAME(load)(x + M * nv, job->N, c->n, nv, c->s + t * job->s_stride[2], job->s_stride[1], job->s_stride[3]);
  for (I i = 0; i < M; i++)
    for (I q = i * nv; q < (i + 1) * nv; q++) {
      vec low = c->lower[i] - (vec){0}, z = y[q];
      x[q] = NAME(select)(z <= low, low, z);
      next[q] = c->A[i] * z + c->h[i];
      if (!job->C) next[q] += x[M * nv + q];
    }
  NAME(multiply)(nv, M, c->J, c->w, x, next, next);
}

static void NAME(forward)(const Job *job, I k, I chunk, void *memory) {
  const I B = job->B, T = job->T, M = job->M, N = job->N, most = job->lanes / V, Mp = round_up(M, R);
  vec *y = memory; // the state, then room for `step`, then W and C
  const NAME(Chunk) c = NAME(open)(job, k, chunk, (REAL *)(y + (Mp + M + N) * most));
  REAL *z = (REAL *)job->z + k * job->last * M * B + c.b;
  NAME(recall)(job, &c, 0, y);
  for (I t = 0; t < T; t++) {
    NAME(step)(job, &c, t, y, y + Mp * c.nv, y);
    if (t >= T - job->last) NAME(store)(z + (t - T + job->last) * M * B, B, y, M, c.n, c.nv);
    if (job->marks && t + 1 < T && (t + 1) % job->every == 0)
      NAME(store)(c.mark + ((t + 1) / job->every - 1) * M * B, B, y, M, c.n, c.nv);
  }
}

static void NAME(backward)(const Job *job, I k, I chunk, void *memory) {
  const I B = job->B, T = job->T, M = job->M, N = job->N, most = job->lanes / V, block = job->block, every = job->every;
  const I piece = k * ((B + job->lanes - 1) / job->lanes) + chunk, *gs = job->grad_stride;
  const I gp = rows_of(M), xp = rows_of(M + N); // rows of a step
  vec *const sum = memory, *g = sum + 3 * M * most;
  REAL *w = (REAL *)(g + ((block + 2) * gp + (block + 3) * xp) * most), *wt = w + xp * (M + N); // W and C side by side, and transposed
  const NAME(Chunk) c = NAME(open)(job, k, chunk, w);
  const I n = c.n, nv = c.nv, J = c.J, gstep = gp * nv, xstep = xp * nv, out = job->ds && job->C ? J : M;
  vec *x = g + (block + 1) * gstep; // g and x of a block: G_t, one more than steps; z_{t-1}, then phi(z_{t-1}) and s_t
  vec *extra = x + block * xstep, *u = extra + gstep, *room = u + xstep, *zero = room + xstep;
  const REAL *grad = (const REAL *)job->grad + k * gs[0] + c.b * gs[1];
  REAL *dWC = job->dWC ? (REAL *)job->dWC + piece * M * J : NULL, *ds = (REAL *)job->ds + k * T * N * B + c.b;
  for (I j = 0; j < M; j++)
    for (I i = 0; i < round_up(out, tile_of(out)); i++)
      wt[at(i, j, M, tile_of(out))] = i < out ? w[at(j, i, J, tile_of(M))] : 0;
  if (dWC) memset(dWC, 0, (size_t)(M * J) * sizeof(REAL));
  memset(sum, 0, (size_t)(3 * M * nv) * sizeof(vec));
  memset(zero, 0, (size_t)xstep * sizeof(vec));
  memset(g + (T - (T - 1) / block * block) * gstep, 0, (size_t)gstep * sizeof(vec)); // nothing comes from after the end

  for (I begin = (T - 1) / block * block, end = T; end > 0; end = begin, begin -= block) {
    for (I t = begin; every > 1 && t < end; t++) { // the states before each step, computed anew from the block's first
      vec *y = x + (t - begin) * xstep;
      if (t == begin) NAME(recall)(job, &c, t, y);
      else NAME(step)(job, &c, t - 1, y - xstep, room, y), NAME(clear)(y, M, n, nv);
    }
    for (I t = end - 1; t >= begin; t--) {
      vec *now = g + (t - begin + 1) * gstep, *before = now - gstep, *y = x + (t - begin) * xstep;
      if (every == 1) NAME(recall)(job, &c, t, y);
      if (every == 1 && t > AHEAD) NAME(fetch)(c.mark + (t - 1 - AHEAD) * M * B, M, n, 1, B);
      if (t >= T - job->last + AHEAD) NAME(fetch)(grad + (t - AHEAD - T + job->last) * gs[2], M, n, gs[1], gs[3]);
      if (t >= T - job->last) {
        NAME(load)(extra, M, n, nv, grad + (t - T + job->last) * gs[2], gs[1], gs[3]);
        for (I q = 0; q < M * nv; q++) now[q] += extra[q];
      }
      NAME(multiply)(nv, out, M, wt, now, zero, u);
      NAME(clear)(u, M, n, nv);
      for (I i = 0; i < M; i++)
        for (I q = i * nv; q < (i + 1) * nv; q++) {
          vec low = c.lower[i] - (vec){0}, z = y[q];
          ivec dead = z <= low;
          before[q] = NAME(alive)(c.A[i] * now[q] + NAME(select)(dead, (vec){0}, u[q]));
          y[q] = NAME(select)(dead, low, z);
          sum[i] += now[q] * z;
          sum[M + i] += now[q];
          if (job->dlower) sum[2 * M + i] += NAME(select)(dead, u[q], (vec){0});
        }
      NAME(clear)(before, M, n, nv);
      if (dWC && job->C) NAME(load)(y + M * nv, N, n, nv, c.s + t * job->s_stride[2], job->s_stride[1], job->s_stride[3]);
      if (job->ds) NAME(store)(ds + t * N * B, B, job->C ? u + M * nv : now, N, n, nv);
    }
    if (dWC) NAME(outer)(nv, end - begin, M, J, g + gstep, gstep, x, xstep, dWC);
    if (begin) memcpy(g + block * gstep, g, (size_t)gstep * sizeof(vec)); // G_{begin-1} opens the block before
  }
  if (job->dz0) NAME(store)((REAL *)job->dz0 + k * M * B + c.b, B, g, M, n, nv);
  void *parts[3] = {job->dA, job->dh, job->dlower};
  for (I p = 0; p < 3; p++)
    for (I i = 0; parts[p] && i < M; i++) ((REAL *)parts[p])[piece * M + i] = NAME(total)(sum[p * M + i]);
}

// ---- Leaps: leap.py has the mathematics. job->W is the map of a leap, its rows v_0, ..., v_{L-1} and z_L, its columns z_0,
// s_1, ..., s_L and phi(v_0), ..., phi(v_{L-1}); job->h its constants; job->lower that of the PWL units. job->z is the last
// state, (K, M, B); marks holds all v and z_0 of each leap, (K, T / L, L P + M, B).

typedef struct {
  I b, n, nv, v, known, rows, cols; // first sequence, sequences, vectors; PWL units of a leap, z_0 and inputs, rows and columns
  const REAL *map, *lower, *s;
  REAL *mark;
} NAME(Leap);

static NAME(Leap) NAME(open_leap)(const Job *job, I k, I chunk) {
  const I b = chunk * job->lanes, n = job->B - b < job->lanes ? job->B - b : job->lanes;
  const I v = job->L * job->P, known = job->M + job->L * job->N, rows = v + job->M, cols = known + v;
  return (NAME(Leap)){b, n, (n + V - 1) / V, v, known, rows, cols, (const REAL *)job->W + k * rows * cols,
    (const REAL *)job->lower + k * job->P, (const REAL *)job->s + k * job->s_stride[0] + b * job->s_stride[1],
    (REAL *)job->marks + k * (job->T / job->L) * rows * job->B + b};
}

static void NAME(inputs)(const Job *job, const NAME(Leap) *c, I leap, vec *x) {
  for (I j = 0; j < job->L; j++, x += job->N * c->nv)
    NAME(load)(x, job->N, c->n, c->nv, c->s + (leap * job->L + j) * job->s_stride[2], job->s_stride[1], job->s_stride[3]);
}

static void NAME(leap_forward)(const Job *job, I k, I chunk, void *memory) {
  const NAME(Leap) c = NAME(open_leap)(job, k, chunk);
  const I B = job->B, M = job->M, P = job->P, L = job->L, nv = c.nv;
  vec *bias = memory, *y = bias + rows_of(c.rows) * nv, *x = y + rows_of(c.rows) * nv, *later = x + c.known * nv;
  REAL *w = (REAL *)(x + c.cols * nv), *q = w + rows_of(c.rows) * c.known, *walk = q + rows_of(M) * c.v;
  const I walked = rows_of(c.v) * P; // room for what phi(v_k) adds to the PWL units after it
  NAME(pack)(w, c.known, 0, c.map, c.cols, 1, c.rows, c.known);
  NAME(pack)(q, c.v, 0, c.map + c.v * c.cols + c.known, c.cols, 1, M, c.v);
  for (I j = 0; j < L; j++)
    NAME(pack)(walk + j * walked, P, 0, c.map + (j + 1) * P * c.cols + c.known + j * P, c.cols, 1, c.v - (j + 1) * P, P);
  for (I i = 0; i < rows_of(c.rows); i++)
    for (I l = 0; l < nv; l++) bias[i * nv + l] = (i < c.rows ? ((const REAL *)job->h)[k * c.rows + i] : 0) - (vec){0};
  NAME(load)(x, M, c.n, nv, (const REAL *)job->z0 + (k * B + c.b) * M, M, 1);
  for (I leap = 0; leap < job->T / L; leap++) {
    REAL *mark = c.mark + leap * c.rows * B;
    NAME(inputs)(job, &c, leap, x + M * nv);
    NAME(multiply)(nv, c.rows, c.known, w, x, bias, y);
    for (I j = 0; j < L; j++) { // no PWL unit can be known before those of the step before it
      for (I i = 0; i < P; i++)
        for (I l = (j * P + i) * nv; l < (j * P + i + 1) * nv; l++) {
          vec low = c.lower[i] - (vec){0};
          later[l] = NAME(select)(y[l] <= low, low, y[l]);
        }
      NAME(multiply)(nv, c.v - (j + 1) * P, P, walk + j * walked, later + j * P * nv, y + (j + 1) * P * nv, y + (j + 1) * P * nv);
    }
    NAME(multiply)(nv, M, c.v, q, later, y + c.v * nv, y + c.v * nv);
    if (job->marks) NAME(store)(mark, B, y, c.v, c.n, nv), NAME(store)(mark + c.v * B, B, x, M, c.n, nv);
    memcpy(x, y + c.v * nv, (size_t)(M * nv) * sizeof(vec));
  }
  NAME(store)((REAL *)job->z + k * M * B + c.b, B, x, M, c.n, nv);
}

static void NAME(leap_backward)(const Job *job, I k, I chunk, void *memory) {
  const NAME(Leap) c = NAME(open_leap)(job, k, chunk);
  const I B = job->B, M = job->M, N = job->N, P = job->P, L = job->L, nv = c.nv, leaps = job->T / L, block = job->block;
  const I piece = k * ((B + job->lanes - 1) / job->lanes) + chunk, gstep = rows_of(c.rows) * nv, xstep = rows_of(c.cols) * nv;
  vec *const sum = memory, *zero = sum + c.rows, *u = zero + gstep + xstep, *back = u + gstep;
  vec *const g = back + xstep, *const x = g + block * gstep; // of a block of leaps
  REAL *w = (REAL *)(x + block * xstep), *q = w + rows_of(c.known) * c.rows, *walk = q + rows_of(c.v) * M;
  const I walked = rows_of(c.v) * P;
  NAME(pack)(w, c.rows, 0, c.map, 1, c.cols, c.known, c.rows); // the matrices of leap_forward, transposed
  NAME(pack)(q, M, 0, c.map + c.v * c.cols + c.known, 1, c.cols, c.v, M);
  for (I j = 0; j < L; j++) NAME(pack)(walk + j * walked, P, 0, c.map + j * P * c.cols + c.known, 1, c.cols, j * P, P);
  REAL *dmap = (REAL *)job->dWC + piece * c.rows * c.cols, *dh = (REAL *)job->dh + piece * c.rows;
  memset(dmap, 0, (size_t)(c.rows * c.cols) * sizeof(REAL));
  memset(sum, 0, (size_t)c.rows * sizeof(vec));
  memset(zero, 0, (size_t)(gstep + xstep) * sizeof(vec));
  NAME(load)(back, M, c.n, nv, (const REAL *)job->grad + k * job->grad_stride[0] + c.b * job->grad_stride[1], job->grad_stride[1], job->grad_stride[3]);

  for (I begin = (leaps - 1) / block * block, end = leaps; end > 0; end = begin, begin -= block) {
    for (I leap = end - 1; leap >= begin; leap--) {
      const REAL *mark = c.mark + leap * c.rows * B;
      vec *y = x + (leap - begin) * xstep, *later = y + c.known * nv, *now = g + (leap - begin) * gstep;
      NAME(load)(later, c.v, c.n, nv, mark, 1, B);
      NAME(load)(y, M, c.n, nv, mark + c.v * B, 1, B);
      NAME(inputs)(job, &c, leap, y + M * nv);
      memcpy(now + c.v * nv, back, (size_t)(M * nv) * sizeof(vec)); // dL/dz_L
      NAME(multiply)(nv, c.v, M, q, back, zero, u);
      for (I j = L - 1; j >= 0; j--) {
        for (I i = 0; i < P; i++)
          for (I l = (j * P + i) * nv; l < (j * P + i + 1) * nv; l++) {
            vec low = c.lower[i] - (vec){0};
            ivec dead = later[l] <= low;
            now[l] = NAME(select)(dead, (vec){0}, u[l]);
            later[l] = NAME(select)(dead, low, later[l]);
          }
        NAME(multiply)(nv, j * P, P, walk + j * walked, now + j * P * nv, u, u);
      }
      NAME(multiply)(nv, c.known, c.rows, w, now, zero, back);
      for (I i = 0; i < c.rows; i++)
        for (I l = i * nv; l < (i + 1) * nv; l++) sum[i] += now[l];
      for (I j = 0; job->ds && j < L; j++)
        NAME(store)((REAL *)job->ds + (k * job->T + leap * L + j) * N * B + c.b, B, back + (M + j * N) * nv, N, c.n, nv);
    }
    NAME(outer)(nv, end - begin, c.rows, c.cols, g, gstep, x, xstep, dmap);
  }
  if (job->dz0) NAME(store)((REAL *)job->dz0 + k * M * B + c.b, B, back, M, c.n, nv);
  for (I i = 0; i < c.rows; i++) dh[i] = NAME(total)(sum[i]);
}

#undef V
#undef vec
#undef ivec
#undef loose
#undef part
#endif
