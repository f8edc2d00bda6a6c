// Steering program of the AF_XDP path: frames of the configured groups go to the AF_XDP sockets,
// everything else goes to the kernel as if the program were not there.
//
// Ethernet, at most one 802.1Q tag, IPv4, UDP. A fragment is passed and counted: only the kernel
// can put it together. A matching frame on a queue without a socket is passed and counted too, so
// the kernel's socket beside gets it. Self-contained on purpose: no header of any library, so that
// clang alone rebuilds the object byte for byte (build.sh).
//
// With -DRX_TIMESTAMP the driver's receive time is written in front of the packet (see below).

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE inline __attribute__((always_inline))
#define MAP_TYPE(number) int (*type)[number]
#define MAP_ENTRIES(number) int (*max_entries)[number]

// The kernel's interface: uapi/linux/bpf.h.
enum { MAP_HASH = 1, MAP_PERCPU_ARRAY = 6, MAP_XSKMAP = 17 };
enum { XDP_PASS = 2, XDP_REDIRECT = 4 };
struct xdp_md {
    u32 data;
    u32 data_end;
    u32 data_meta;
    u32 ingress_ifindex;
    u32 rx_queue_index;
};
static void *(*map_lookup)(void *map, const void *key) = (void *)1;
static long (*redirect_map)(void *map, u64 key, u64 flags) = (void *)51;

// A line: where its packets go to. Network byte order; padding is zero.
struct line_key {
    u32 group;
    u16 port;
    u16 padding;
};

// The order is that of `Steering::counters` in steering.rs.
enum { REDIRECTED, NO_KEY, FRAGMENT, MALFORMED, UNBOUND_QUEUE, COUNTERS };

// Line to the first slot of its sockets in `xsks`; the slot is that plus the receive queue.
struct {
    MAP_TYPE(MAP_HASH);
    MAP_ENTRIES(1024);
    struct line_key *key;
    u32 *value;
} lines SEC(".maps");

struct {
    MAP_TYPE(MAP_XSKMAP);
    MAP_ENTRIES(256);
    u32 *key;
    u32 *value;
} xsks SEC(".maps");

struct {
    MAP_TYPE(MAP_PERCPU_ARRAY);
    MAP_ENTRIES(COUNTERS);
    u32 *key;
    u64 *value;
} counters SEC(".maps");

static INLINE int count(u32 index, int action)
{
    u64 *counter = map_lookup(&counters, &index);
    if (counter)
        *counter += 1;
    return action;
}

#ifdef RX_TIMESTAMP
// A call of the kernel function bpf_xdp_metadata_rx_timestamp: the loader puts the function's BTF
// id of the running kernel in the place of this number, which no helper has.
static int (*rx_timestamp)(struct xdp_md *context, u64 *time) = (void *)0x7DEC;
static long (*adjust_meta)(struct xdp_md *context, int delta) = (void *)54;

// Puts the time, 0 when there is none, into the 8 bytes in front of the packet. Packet pointers
// taken before are void afterwards.
static INLINE void stamp(struct xdp_md *context)
{
    u64 time = 0;
    if (rx_timestamp(context, &time) != 0)
        time = 0;
    if (adjust_meta(context, -(int)sizeof(u64)) != 0)
        return;
    u64 *meta = (void *)(u64)context->data_meta;
    if ((void *)(meta + 1) <= (void *)(u64)context->data)
        *meta = time;
}
#else
static INLINE void stamp(struct xdp_md *context)
{
}
#endif

#define BE16(number) ((u16)(((number) >> 8) | ((number) << 8)))

SEC("xdp")
int steer(struct xdp_md *context)
{
    u8 *at = (void *)(u64)context->data;
    u8 *end = (void *)(u64)context->data_end;
    if (at + 14 > end)
        return count(MALFORMED, XDP_PASS);
    u16 type = *(u16 *)(at + 12);
    at += 14;
    if (type == BE16(0x8100)) {
        if (at + 4 > end)
            return count(MALFORMED, XDP_PASS);
        type = *(u16 *)(at + 2);
        at += 4;
    }
    if (type != BE16(0x0800))
        return XDP_PASS;
    if (at + 20 > end)
        return count(MALFORMED, XDP_PASS);
    u32 header_bytes = (at[0] & 0x0F) * 4;
    if (header_bytes < 20)
        return count(MALFORMED, XDP_PASS);
    if (at[9] != 17)
        return XDP_PASS;
    // More fragments follow, or this is not the first.
    if (*(u16 *)(at + 6) & BE16(0x3FFF))
        return count(FRAGMENT, XDP_PASS);
    struct line_key key = {.group = *(u32 *)(at + 16)};
    at += header_bytes;
    if (at + 8 > end)
        return count(MALFORMED, XDP_PASS);
    key.port = *(u16 *)(at + 2);
    u32 *base = map_lookup(&lines, &key);
    if (!base)
        return count(NO_KEY, XDP_PASS);
    u32 slot = *base + context->rx_queue_index;
    stamp(context);
    // XDP_PASS is what the call returns when the slot is empty.
    if (redirect_map(&xsks, slot, XDP_PASS) != XDP_REDIRECT)
        return count(UNBOUND_QUEUE, XDP_PASS);
    return count(REDIRECTED, XDP_REDIRECT);
}

SEC("license")
const char license_text[] = "Dual MIT/GPL";
