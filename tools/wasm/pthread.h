// One thread runs in the browser: nobody can be asked to help, and kernel.c does all the work itself.
#pragma once
typedef int pthread_t;
static inline int pthread_create(pthread_t *thread, void *how, void *(*task)(void *), void *with) {
  (void)thread, (void)how, (void)task, (void)with;
  return 1;
}
static inline int pthread_join(pthread_t thread, void **result) {
  (void)thread, (void)result;
  return 0;
}
