def digits(): raise NotImplementedError
def mnist(split): raise NotImplementedError
