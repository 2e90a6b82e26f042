/* One set of names for two element types.
 *
 * The kernel headers are included twice by table.c, with T = float and with T = double. Every
 * name they define stands here and expands to that name with the suffix of the current T, so
 * that the headers read as plain C.
 */
#ifndef HL_NAMES_H
#define HL_NAMES_H

#define HL_PASTE_(a, b) hl_##a##_##b
#define HL_PASTE(a, b) HL_PASTE_(a, b)
#define N(name) HL_PASTE(name, T_SUFFIX)

/* vector.h */
#define vec N(vec)
#define vec_unaligned N(vec_unaligned)
#define ivec N(ivec)
#define uvec N(uvec)
#define splat N(splat)
#define lanes_left N(lanes_left)
#define first_lanes N(first_lanes)
#define lane_numbers N(lane_numbers)
#define mul_add N(mul_add)
#define load N(load)
#define store N(store)
#define load_n N(load_n)
#define store_n N(store_n)
#define select N(select)
#define only N(only)
#define vmax N(vmax)
#define vmin N(vmin)
#define sign_bits N(sign_bits)
#define vabs N(vabs)
#define vsqrt N(vsqrt)
#define clamp N(clamp)
#define rotate_lanes N(rotate_lanes)
#define swap_lanes N(swap_lanes)
#define every_second N(every_second)
#define sum_lanes N(sum_lanes)
#define splat_sum N(splat_sum)
#define max_lanes N(max_lanes)
#define any_lane N(any_lane)
#define add_lanes N(add_lanes)

/* functions.h */
#define polynomial N(polynomial)
#define expm1_reduced N(expm1_reduced)
#define vexp N(vexp)
#define vexpm1_negative N(vexpm1_negative)
#define vlog N(vlog)
#define log_near_one N(log_near_one)
#define vlog1p_unit N(vlog1p_unit)
#define vlog1p N(vlog1p)
#define vtanh N(vtanh)
#define vsigmoid N(vsigmoid)
#define vsoftplus N(vsoftplus)
#define vsincos N(vsincos)
#define verf N(verf)

#endif
