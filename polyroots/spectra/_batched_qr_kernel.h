/* The kernel of _batched_qr.c, included once for each precision and instruction set.

   REAL, INTEGER     the scalar type, and the integer type of the same size
   LANES             matrices that are solved side by side
   SQRT, EPSILON     of the scalar type
   LARGEST_EXPONENT  2 to this power and its inverse can be represented
   NEGLIGIBLE        squares and products of squares below it are taken for 0, where the largest entries are about 1
   INVERSE(p, t)     1 / sqrt(p t)
   TARGET            attribute that names the instruction set
   FN(name)          the name of a function or type of this inclusion */

#define INLINE TARGET static inline __attribute__((always_inline))

/* A vector holds the same entry of LANES matrices; a mask is -1 in the lanes where it holds, 0 elsewhere. */
typedef REAL FN(vector) __attribute__((vector_size(LANES * sizeof(REAL))));
typedef INTEGER FN(mask) __attribute__((vector_size(LANES * sizeof(REAL))));
typedef struct {
    FN(vector) re, im;
} FN(number);

/* The unitary matrix [c, s; -conj(s), c] with a real c. */
typedef struct {
    FN(vector) c;
    FN(number) s;
} FN(rotation);

#define V FN(vector)
#define M FN(mask)
#define C FN(number)
#define LANE(vector, lane) (((REAL *)&(vector))[lane])

INLINE V FN(pick)(M mask, V a, V b) { return (V)((mask & (M)a) | (~mask & (M)b)); }
INLINE V FN(modulus)(V x) { return FN(pick)(x < 0, -x, x); }
INLINE V FN(modulus1)(C z) { return FN(modulus)(z.re) + FN(modulus)(z.im); }
INLINE V FN(square)(C z) { return z.re * z.re + z.im * z.im; }
INLINE V FN(larger)(V a, V b) { return FN(pick)(a > b, a, b); }
INLINE V FN(smaller)(V a, V b) { return FN(pick)(a > b, b, a); }
INLINE V FN(all)(REAL x) { return x - (V){0}; }

INLINE V FN(root)(V x) {
    V result;
    for (int lane = 0; lane < LANES; lane++) LANE(result, lane) = SQRT(LANE(x, lane));
    return result;
}

INLINE int FN(any)(M mask) {
    INTEGER found = 0;
    for (int lane = 0; lane < LANES; lane++) found |= mask[lane];
    return found != 0;
}

/* Divide each matrix by a power of two, so that its largest entries are about 1, and return that power. */
TARGET static V FN(normalize)(C *H, int n, int ld) {
    V largest = {0}, scale, inverse;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) largest = FN(larger)(FN(modulus1)(H[i * ld + j]), largest);
    for (int lane = 0; lane < LANES; lane++) {
        int exponent;
        frexp(largest[lane], &exponent);
        if (exponent > LARGEST_EXPONENT) exponent = LARGEST_EXPONENT;
        if (exponent < -LARGEST_EXPONENT) exponent = -LARGEST_EXPONENT;
        scale[lane] = ldexp(1, exponent);
        inverse[lane] = ldexp(1, -exponent);
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) H[i * ld + j].re *= inverse, H[i * ld + j].im *= inverse;
    return scale;
}

/* Scale rows and columns by powers of two until their 1-norms agree (Parlett and Reinsch). */
TARGET static void FN(balance)(C *H, int n, int ld) {
    for (int pass = 0, changed = 1; changed && pass < 32; pass++) {
        changed = 0;
        for (int i = 0; i < n; i++) {
            V column = {0}, row = {0}, factor, inverse;
            for (int j = 0; j < n; j++) {
                if (j == i) continue;
                column += FN(modulus1)(H[j * ld + i]);
                row += FN(modulus1)(H[i * ld + j]);
            }
            int scales = 0;
            for (int lane = 0; lane < LANES; lane++) {
                REAL c = column[lane], r = row[lane], f = 1;
                /* Neither can be 0 (see isolated) except by underflow, or for n = 1. */
                if (c > 0 && r > 0) {
                    REAL before = c + r;
                    while (c < r / 2) f *= 2, c *= 2, r /= 2;
                    while (c / 2 >= r) f /= 2, c /= 2, r *= 2;
                    if (c + r >= (REAL)0.95 * before) f = 1;
                }
                scales |= f != 1;
                factor[lane] = f;
                inverse[lane] = 1 / f;
            }
            if (!scales) continue;
            changed = 1;
            for (int j = 0; j < n; j++) H[i * ld + j].re *= inverse, H[i * ld + j].im *= inverse;
            for (int j = 0; j < n; j++) H[j * ld + i].re *= factor, H[j * ld + i].im *= factor;
        }
    }
}

/* Reduce to Hessenberg form by reflections I - tau v v*, as LAPACK's gehd2. Every step passes over the matrix once: the
   left update of a step, -g w with g = conj(tau) v and w = v* H, is made when the next step reads the row.
   `work` has room for 4 n numbers. */
TARGET static void FN(hessenberg)(C *H, int n, int ld, C *work) {
    const V zero = {0}, one = FN(all)(1);
    C *v = work, *g = v + n, *w = g + n, *next = w + n;
    for (int i = 0; i < n; i++) g[i] = w[i] = (C){zero, zero};
    for (int k = 0; k < n - 1; k++) {
        /* Column k, with the left update of the step before. */
        V tail = zero;
        for (int i = k; i < n; i++) {
            C *x = H + i * ld + k;
            x->re -= g[i].re * w[k].re - g[i].im * w[k].im;
            x->im -= g[i].re * w[k].im + g[i].im * w[k].re;
            if (i >= k + 2) tail += FN(square)(*x);
        }
        /* LAPACK's larfg: beta, tau and v[k + 1] = 1. */
        C alpha = H[(k + 1) * ld + k], tau, scale;
        V norm = FN(root)(FN(square)(alpha) + tail);
        M none = (tail == 0) & (alpha.im == 0);
        V beta = FN(pick)(alpha.re > 0, -norm, norm), divisor = FN(pick)(none, one, beta);
        tau.re = FN(pick)(none, zero, (beta - alpha.re) / divisor);
        tau.im = FN(pick)(none, zero, -alpha.im / divisor);
        C gap = {alpha.re - beta, alpha.im};
        divisor = FN(pick)(none, one, FN(square)(gap));
        scale.re = FN(pick)(none, zero, gap.re / divisor);
        scale.im = FN(pick)(none, zero, -gap.im / divisor);
        H[(k + 1) * ld + k] = (C){FN(pick)(none, alpha.re, beta), zero};
        v[k + 1] = (C){one, zero};
        for (int i = k + 2; i < n; i++) {
            C x = H[i * ld + k];
            v[i].re = x.re * scale.re - x.im * scale.im;
            v[i].im = x.re * scale.im + x.im * scale.re;
            H[i * ld + k] = (C){zero, zero};
        }
        for (int j = k + 1; j < n; j++) next[j] = (C){zero, zero};
        for (int i = 0; i < n; i++) {
            C *row = H + i * ld, u = g[i], even = {zero, zero}, odd = {zero, zero};
            for (int j = k + 1; j < n; j++) {
                C x = row[j], *sum = (j - k) % 2 ? &odd : &even;
                x.re -= u.re * w[j].re - u.im * w[j].im;
                x.im -= u.re * w[j].im + u.im * w[j].re;
                row[j] = x;
                sum->re += x.re * v[j].re - x.im * v[j].im;
                sum->im += x.re * v[j].im + x.im * v[j].re;
            }
            C dot = {even.re + odd.re, even.im + odd.im};
            C f = {tau.re * dot.re - tau.im * dot.im, tau.re * dot.im + tau.im * dot.re};
            if (i <= k) {
                for (int j = k + 1; j < n; j++) {
                    row[j].re -= f.re * v[j].re + f.im * v[j].im;
                    row[j].im -= f.im * v[j].re - f.re * v[j].im;
                }
                g[i] = (C){zero, zero};
                continue;
            }
            u = v[i];
            for (int j = k + 1; j < n; j++) {
                C x = row[j];
                x.re -= f.re * v[j].re + f.im * v[j].im;
                x.im -= f.im * v[j].re - f.re * v[j].im;
                row[j] = x;
                next[j].re += u.re * x.re + u.im * x.im;
                next[j].im += u.re * x.im - u.im * x.re;
            }
            g[i] = (C){tau.re * u.re + tau.im * u.im, tau.re * u.im - tau.im * u.re};
        }
        C *swap = w;
        w = next, next = swap;
    }
    /* The last column has no step of its own. */
    for (int i = 0; i < n; i++) {
        C *x = H + i * ld + n - 1;
        x->re -= g[i].re * w[n - 1].re - g[i].im * w[n - 1].im;
        x->im -= g[i].re * w[n - 1].im + g[i].im * w[n - 1].re;
    }
}

/* Return the rotation that takes [a; b] to [r; 0] in the lanes of `inside`, and the identity in others. */
INLINE FN(rotation) FN(rotation_of)(C a, C b, M inside, C *r) {
    const V zero = {0}, one = FN(all)(1);
    V p = FN(square)(a), q = FN(square)(b), t = p + q;
    M tiny = p * t < (REAL)NEGLIGIBLE;
    V inverse = INVERSE(FN(pick)(tiny, one, p), FN(pick)(tiny, one, t));
    FN(rotation) G = {p * inverse, {(a.re * b.re + a.im * b.im) * inverse, (a.im * b.re - a.re * b.im) * inverse}};
    *r = (C){a.re * t * inverse, a.im * t * inverse};
    if (__builtin_expect(FN(any)(tiny & inside), 0)) {
        /* a is 0 beside b, and the rows are exchanged; or both are 0 beside the matrix. */
        M swap = tiny & (q > p);
        V size = FN(root)(FN(pick)(swap, q, one));
        swap &= size > 0;
        size = FN(pick)(size > 0, size, one);
        G.c = FN(pick)(tiny, FN(pick)(swap, zero, one), G.c);
        G.s.re = FN(pick)(tiny, FN(pick)(swap, b.re / size, zero), G.s.re);
        G.s.im = FN(pick)(tiny, FN(pick)(swap, -b.im / size, zero), G.s.im);
        r->re = FN(pick)(tiny, FN(pick)(swap, size, a.re), r->re);
        r->im = FN(pick)(tiny, FN(pick)(swap, zero, a.im), r->im);
    }
    G.c = FN(pick)(inside, G.c, one);
    G.s.re = FN(pick)(inside, G.s.re, zero);
    G.s.im = FN(pick)(inside, G.s.im, zero);
    return G;
}

/* Multiply columns k and k + 1 of a row by G[k]*. `x` is the entry of column k; that of column k + 1 is returned. */
INLINE C FN(from_right)(C *row, const FN(rotation) *G, C x, int k) {
    V c = G[k].c;
    C s = G[k].s, y = row[k + 1];
    row[k].re = c * x.re + s.re * y.re + s.im * y.im;
    row[k].im = c * x.im + s.re * y.im - s.im * y.re;
    return (C){c * y.re - s.re * x.re + s.im * x.im, c * y.im - s.re * x.im - s.im * x.re};
}

INLINE void FN(shift_diagonal)(C *H, int ld, M low, M high, C shift, int first, int last) {
    const V zero = {0};
    for (int k = first; k <= last; k++) {
        M inside = (low <= k) & (high >= k);
        H[k * ld + k].re += FN(pick)(inside, shift.re, zero);
        H[k * ld + k].im += FN(pick)(inside, shift.im, zero);
    }
}

/* One step of the QR algorithm on rows and columns low..high of each lane: H - shift I = Q R, H = R Q + shift I.
   first and last enclose low and high of all lanes. */
TARGET static void FN(step)(C *H, int ld, FN(rotation) *G, M low, M high, C shift, int first, int last) {
    const V zero = {0};
    FN(shift_diagonal)(H, ld, low, high, (C){-shift.re, -shift.im}, first, last);
    for (int k = first; k < last; k++) {
        C *upper = H + k * ld, *lower = upper + ld, r;
        M inside = (low <= k) & (high > k);
        G[k] = FN(rotation_of)(upper[k], lower[k], inside, &r);
        upper[k] = (C){FN(pick)(inside, r.re, upper[k].re), FN(pick)(inside, r.im, upper[k].im)};
        lower[k] = (C){FN(pick)(inside, zero, lower[k].re), FN(pick)(inside, zero, lower[k].im)};
        V c = G[k].c;
        C s = G[k].s;
        for (int j = k + 1; j <= last; j++) {
            C x = upper[j], y = lower[j];
            upper[j].re = c * x.re + s.re * y.re - s.im * y.im;
            upper[j].im = c * x.im + s.re * y.im + s.im * y.re;
            lower[j].re = c * y.re - s.re * x.re - s.im * x.im;
            lower[j].im = c * y.im - s.re * x.im + s.im * x.re;
        }
    }
    /* Four rows at once, as each of a row's rotations waits for the one before. Row r of R begins with column r, and
       of R Q with column r - 1. */
    int r = first;
    for (; r + 3 <= last; r += 4) {
        C *row[4], x[4];
        for (int i = 0; i < 4; i++) {
            row[i] = H + (r + i) * ld;
            int k = r + i > first ? r + i - 1 : first;
            x[i] = row[i][k];
            for (; k < r + 3 && k < last; k++) x[i] = FN(from_right)(row[i], G, x[i], k);
        }
        for (int k = r + 3; k < last; k++)
            for (int i = 0; i < 4; i++) x[i] = FN(from_right)(row[i], G, x[i], k);
        for (int i = 0; i < 4; i++) row[i][last] = x[i];
    }
    for (; r <= last; r++) {
        int k = r > first ? r - 1 : first;
        C *row = H + r * ld, x = row[k];
        for (; k < last; k++) x = FN(from_right)(row, G, x, k);
        row[last] = x;
    }
    FN(shift_diagonal)(H, ld, low, high, shift, first, last);
}

/* Return where the entry below the diagonal in row k can be neglected, as LAPACK's lahqr decides (Ahues and Tisseur). */
INLINE M FN(is_small)(const C *H, int ld, int k) {
    C a = H[(k - 1) * ld + k - 1], d = H[k * ld + k];
    V below = FN(modulus1)(H[k * ld + k - 1]), above = FN(modulus1)(H[(k - 1) * ld + k]);
    V here = FN(modulus1)(d), gap = FN(modulus1)((C){a.re - d.re, a.im - d.im});
    M small = below <= (REAL)EPSILON * (FN(modulus1)(a) + here);
    V ab = FN(larger)(below, above), ba = FN(smaller)(below, above);
    V aa = FN(larger)(here, gap), bb = FN(smaller)(here, gap), sum = aa + ab;
    sum = FN(pick)(sum > 0, sum, FN(all)(1));
    V bound = FN(larger)((REAL)EPSILON * (bb * (aa / sum)), FN(all)((REAL)NEGLIGIBLE));
    return (small & (ba * (ab / sum) <= bound)) | (below <= (REAL)NEGLIGIBLE);
}

/* Return the eigenvalue of the trailing 2x2 block, rows i - 1 and i of one lane, that is closest to its last entry. */
TARGET static double complex FN(wilkinson)(C *H, int ld, int i, int lane) {
    C *upper = H + (i - 1) * ld + i - 1, *lower = upper + ld;
    double complex a = CMPLX(LANE(upper[0].re, lane), LANE(upper[0].im, lane));
    double complex b = CMPLX(LANE(upper[1].re, lane), LANE(upper[1].im, lane));
    double complex c = CMPLX(LANE(lower[0].re, lane), LANE(lower[0].im, lane));
    double complex d = CMPLX(LANE(lower[1].re, lane), LANE(lower[1].im, lane));
    double complex half = (a - d) / 2, root = csqrt(half * half + b * c);
    if (creal(half) * creal(root) + cimag(half) * cimag(root) < 0) root = -root;
    return half + root == 0 ? d : d - b * c / (half + root);
}

/* Compute the eigenvalues of Hessenberg matrices by the QR algorithm with one shift. Return the lanes that did not
   converge. */
TARGET static M FN(qr)(C *H, int n, int ld, FN(rotation) *G, C *values) {
    /* Rows and columns low..high of a lane are the block that is being solved; high is -1 in the end. */
    M low, high = n - 1 - (M){0}, steps = {0}, failed = {0};
    for (;;) {
        int first = n, last = -1;
        for (int lane = 0; lane < LANES; lane++)
            if (high[lane] > last) last = high[lane];
        if (last < 0) return failed;
        low = (M){0};
        for (int k = 1; k <= last; k++) {
            M small = FN(is_small)(H, ld, k) & (high >= k);
            C *below = H + k * ld + k - 1;
            *below = (C){FN(pick)(small, (V){0}, below->re), FN(pick)(small, (V){0}, below->im)};
            low = (small & k) | (~small & low);
        }
        M done = (low == high) & (high >= 0);
        if (FN(any)(done)) {
            for (int lane = 0; lane < LANES; lane++)
                if (done[lane]) {
                    int i = high[lane];
                    LANE(values[i].re, lane) = LANE(H[i * ld + i].re, lane);
                    LANE(values[i].im, lane) = LANE(H[i * ld + i].im, lane);
                }
            high += done;
            steps &= ~done;
            continue;
        }
        C shift = {{0}, {0}};
        for (int lane = 0; lane < LANES; lane++) {
            int i = high[lane];
            if (i < 0) continue;
            if (low[lane] < first) first = low[lane];
            double complex sigma = FN(wilkinson)(H, ld, i, lane);
            if (steps[lane] % 10 == 9) {
                /* An exceptional shift, as in lahqr, ends cycles. */
                C below = H[i * ld + i - 1];
                sigma = CMPLX(LANE(H[i * ld + i].re, lane), LANE(H[i * ld + i].im, lane));
                sigma += 0.75 * (fabs(LANE(below.re, lane)) + fabs(LANE(below.im, lane)));
            }
            LANE(shift.re, lane) = creal(sigma);
            LANE(shift.im, lane) = cimag(sigma);
        }
        FN(step)(H, ld, G, low, high, shift, first, last);
        steps += 1;
        M given_up = (steps > 60) & (high >= 0);
        failed |= given_up;
        high |= given_up;
    }
}

/* Return whether a row or a column is 0 but for the diagonal: LAPACK's gebal would isolate its eigenvalue. */
static int FN(isolates)(const REAL *matrix, long n) {
    for (long i = 0; i < n; i++) {
        int row = 0, column = 0;
        for (long j = 0; j < n && !(row && column); j++) {
            if (j == i) continue;
            const REAL *a = matrix + 2 * (i * n + j), *b = matrix + 2 * (j * n + i);
            row |= a[0] != 0 || a[1] != 0;
            column |= b[0] != 0 || b[1] != 0;
        }
        if (n > 1 && !(row && column)) return 1;
    }
    return 0;
}

/* Solve `count` matrices of order n. Return 0, or -1 without memory. */
TARGET static int FN(eigenvalues)(const REAL *matrices, long count, long n, REAL *values, unsigned char *left) {
    /* An odd distance of rows: entries of a column don't share a few sets of the caches. */
    int ld = n | 1;
    C *H;
    if (posix_memalign((void **)&H, 64, sizeof(C) * n * (ld + 5) + sizeof(FN(rotation)) * n)) return -1;
    C *work = H + n * ld, *out = work + 4 * n;
    FN(rotation) *G = (FN(rotation) *)(out + n);
    for (long i = 0; i < count; i++) left[i] = FN(isolates)(matrices + 2 * i * n * n, n);
    for (long at = 0; at < count;) {
        long which[LANES];
        int used = 0;
        for (; at < count && used < LANES; at++)
            if (!left[at]) which[used++] = at;
        if (!used) break;
        for (int lane = used; lane < LANES; lane++) which[lane] = which[0];
        for (long i = 0; i < n; i++)
            for (long j = 0; j < n; j++)
                for (int lane = 0; lane < LANES; lane++) {
                    const REAL *entry = matrices + 2 * ((which[lane] * n + i) * n + j);
                    LANE(H[i * ld + j].re, lane) = entry[0];
                    LANE(H[i * ld + j].im, lane) = entry[1];
                }
        /* Balancing an unbalanced matrix makes its largest entries smaller. */
        V scale = FN(normalize)(H, n, ld);
        FN(balance)(H, n, ld);
        V again = FN(normalize)(H, n, ld);
        FN(hessenberg)(H, n, ld, work);
        M failed = FN(qr)(H, n, ld, G, out);
        for (int lane = 0; lane < used; lane++) {
            left[which[lane]] = failed[lane] != 0;
            REAL *target = values + 2 * which[lane] * n;
            for (long i = 0; i < n; i++) {
                target[2 * i] = LANE(out[i].re, lane) * again[lane] * scale[lane];
                target[2 * i + 1] = LANE(out[i].im, lane) * again[lane] * scale[lane];
            }
        }
    }
    free(H);
    return 0;
}

#undef INLINE
#undef V
#undef M
#undef C
#undef LANE
