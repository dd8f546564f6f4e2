/* activation.h — the functions between an MLP's products. */
#ifndef BACKEND_ACTIVATION_H
#define BACKEND_ACTIVATION_H

enum activation {
    ACTIVATION_SILU,      /* x σ(x)       (Ramachandran et al. 2017) */
    ACTIVATION_GELU,      /* x Φ(x), Φ(x) = (1 + erf(x/√2)) / 2       (Hendrycks & Gimpel 2016) */
    ACTIVATION_GELU_TANH, /* x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2 */
    ACTIVATIONS
};

#endif
