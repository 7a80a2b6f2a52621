// alrnn/recurrence/kernel.c for the browser, in float32: the states of K nets after their last steps, and the gradients of
// all weights. book/_extra/hands/trainer.js calls it; tools/book_hands.py builds it.
#include "kernel.c"

#define EXPORT(name) __attribute__((export_name(#name), visibility("default")))

extern unsigned char __heap_base;
static uintptr_t top;

// Memory for so many bytes, aligned as the kernel wants it; 0 if there is no more. It is never given back: a training
// that begins anew takes a new instance.
EXPORT(take) void *take(unsigned bytes) {
  if (!top) top = (uintptr_t)&__heap_base;
  const uintptr_t from = (top + 63) & ~(uintptr_t)63, end = from + bytes, held = __builtin_wasm_memory_size(0) << 16;
  if (end > held && (int)__builtin_wasm_memory_grow(0, (end - held + 65535) >> 16) < 0) return 0;
  top = end;
  return (void *)from;
}

// K nets of M units on B sequences each of T steps of N inputs; `last` states are kept. All arrays are contiguous:
// s (K, T, N, B), weights as in kernel.py, z and grad (K, last, M, B), and gradients dA (K, M), dWC (K, M, M + N), dh (K, M).
static Job job;
static float *dA, *dWC, *dh;
static I parts;

EXPORT(plan) int plan(int K, int B, int T, int M, int N, int last) {
  memset(&job, 0, sizeof job);
  job.K = K, job.B = B, job.T = T, job.M = M, job.N = N, job.last = last, job.threads = 1;
  job.s_stride[0] = (I)T * N * B, job.s_stride[1] = 1, job.s_stride[2] = (I)N * B, job.s_stride[3] = B;
  job.grad_stride[0] = (I)last * M * B, job.grad_stride[1] = 1, job.grad_stride[2] = (I)M * B, job.grad_stride[3] = B;
  alrnn_plan(&job, sizeof(float));
  job.every = job.block, job.marked = (T - 1) / job.block;
  parts = (B + job.lanes - 1) / job.lanes;
  job.memory = take((unsigned)job.room);
  job.marks = take(sizeof(float) * (unsigned)(K * (job.marked ? job.marked : 1) * M * B));
  dA = take(sizeof(float) * (unsigned)(K * parts * M));
  dWC = take(sizeof(float) * (unsigned)(K * parts * M * (M + N)));
  dh = take(sizeof(float) * (unsigned)(K * parts * M));
  return job.memory && job.marks && dA && dWC && dh;
}

EXPORT(forward) void forward(const float *s, const float *z0, const float *A, const float *W, const float *C, const float *h,
                             const float *lower, float *z) {
  job.s = s, job.z0 = z0, job.A = A, job.W = W, job.C = C, job.h = h, job.lower = lower, job.z = z;
  alrnn_forward(&job, sizeof(float));
}

// The parts of one net are always summed in the same order.
static void collect(const float *from, float *to, I n) {
  for (I k = 0; k < job.K; k++)
    for (I i = 0; i < n; i++) {
      float sum = 0;
      for (I p = 0; p < parts; p++) sum += from[(k * parts + p) * n + i];
      to[k * n + i] = sum;
    }
}

// After `forward`, with the same arrays; grad is the gradient of the kept states.
EXPORT(backward) void backward(const float *grad, float *to_A, float *to_WC, float *to_h) {
  job.grad = grad, job.dA = dA, job.dWC = dWC, job.dh = dh;
  alrnn_backward(&job, sizeof(float));
  collect(dA, to_A, job.M), collect(dWC, to_WC, job.M * (job.M + job.N)), collect(dh, to_h, job.M);
}
