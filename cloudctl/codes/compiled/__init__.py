"""A digital code as arrays, and the kernels that read them."""
