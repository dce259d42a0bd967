/* Eigenvalues of many small complex matrices at once, without eigenvectors.

   LAPACK solves one matrix at a time, and on small ones it spends most of its time in loops that a processor's vector
   units can't take. Here a vector holds the same entry of several matrices, and each operation is done for all of them:
   balancing, reduction to Hessenberg form by reflections, and the QR algorithm with Wilkinson's shift. Matrices whose
   part has converged are masked: their rotations are the identity. So the result for a matrix does not depend, not even
   in its last bit, on those beside it.

   What is left to LAPACK is marked: matrices that its balancing would permute, and those that don't converge.

   B. N. Parlett, C. Reinsch, Balancing a matrix for calculation of eigenvalues and eigenvectors, Numerische Mathematik 13
   (1969); G. H. Golub, C. F. Van Loan, Matrix Computations, 4th edition, 2013, sections 7.4 and 7.5; M. Ahues, F. Tisseur, A new
   deflation criterion for the QR algorithm, LAPACK Working Note 122, 1997; R. S. Martin, G. Peters, J. H. Wilkinson, The QR
   algorithm for real Hessenberg matrices, Numerische Mathematik 14 (1970): shifts that are subtracted from the diagonal.

   The vectors are those of GCC and Clang. For other compilers the extension is left out. */

#include <complex.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#define REAL double
#define INTEGER int64_t
#define SQRT sqrt
#define EPSILON 2.220446049250313e-16
#define LARGEST_EXPONENT 1000
#define NEGLIGIBLE 1e-290
#define INVERSE(p, t) (1 / FN(root)((p) * (t)))

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")))
#define LANES 8
#define FN(name) name##_double_avx512
#include "_batched_qr_kernel.h"
#undef TARGET
#undef LANES
#undef FN
#define TARGET __attribute__((target("avx2,fma")))
#define LANES 4
#define FN(name) name##_double_avx2
#include "_batched_qr_kernel.h"
#undef TARGET
#undef LANES
#undef FN
#endif
#define TARGET
#define LANES 2
#define FN(name) name##_double
#include "_batched_qr_kernel.h"
#undef TARGET
#undef LANES
#undef FN

#undef REAL
#undef INTEGER
#undef SQRT
#undef EPSILON
#undef LARGEST_EXPONENT
#undef NEGLIGIBLE
#undef INVERSE

#define REAL float
#define INTEGER int32_t
#define SQRT sqrtf
#define EPSILON 1.1920929e-07f
#define LARGEST_EXPONENT 120
#define NEGLIGIBLE 1e-36f
#define INVERSE(p, t) (1 / (FN(root)(p) * FN(root)(t)))

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")))
#define LANES 16
#define FN(name) name##_single_avx512
#include "_batched_qr_kernel.h"
#undef TARGET
#undef LANES
#undef FN
#define TARGET __attribute__((target("avx2,fma")))
#define LANES 8
#define FN(name) name##_single_avx2
#include "_batched_qr_kernel.h"
#undef TARGET
#undef LANES
#undef FN
#endif
#define TARGET
#define LANES 4
#define FN(name) name##_single
#include "_batched_qr_kernel.h"

/* Instruction sets, the best first; a caller may ask for another one, for tests. */
enum { AVX512, AVX2, BASELINE };

int polyroots_best_instructions(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return AVX2;
#endif
    return BASELINE;
}

/* Compute the eigenvalues of `count` matrices of order n, row by row, real and imaginary parts in turn, in double or
   single precision. left[i] is 1 where LAPACK has to do it. Return 0, or -1 without memory. */
int polyroots_eigenvalues(const void *matrices, long count, long n, void *values, unsigned char *left, int is_double,
                          int instructions) {
#if defined(__x86_64__)
    if (instructions == AVX512)
        return is_double ? eigenvalues_double_avx512(matrices, count, n, values, left)
                         : eigenvalues_single_avx512(matrices, count, n, values, left);
    if (instructions == AVX2)
        return is_double ? eigenvalues_double_avx2(matrices, count, n, values, left)
                         : eigenvalues_single_avx2(matrices, count, n, values, left);
#endif
    (void)instructions;
    return is_double ? eigenvalues_double(matrices, count, n, values, left)
                     : eigenvalues_single(matrices, count, n, values, left);
}
