"""Operations over vectors of N numbers, fast on a CPU and without a wait for the host on CUDA."""
