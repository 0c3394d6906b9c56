/* A VP8 stream made beforehand into the SFU, and a count of what comes out of it.
 *
 *     rtp_load PACKETS_PER_SECOND SECONDS PAYLOAD_BYTES SSRC
 *
 * Prints the port where consumers are to send; reads the SFU's port from stdin; sends 2 s to warm
 * up, prints "begin", sends for SECONDS, prints "end" and then one line of JSON. SRTP leaves the
 * RTP header in clear: packets are counted once per SSRC and sequence number, never decrypted.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STREAMS = 4096, SEQUENCES = 65536, BATCH = 256, SIZE = 1600, WARM_UP_S = 2, NAP_NS = 2000000, QUIET_MS = 400, PATIENCE_MS = 10000 };
static const uint32_t PROBE_SSRC = 1234; /* mediasoup's probes of the bandwidth carry no media */

struct stream {
  uint32_t ssrc;
  uint64_t unique, repeated;
  uint8_t *seen; /* a bit per sequence number */
};

static struct stream streams[STREAMS];
static uint64_t counted;
static uint8_t buffers[BATCH][SIZE];
static struct mmsghdr messages[BATCH];
static struct iovec vectors[BATCH];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static struct sockaddr_in loopback(uint16_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static struct stream *stream_of(uint32_t ssrc) {
  uint32_t slot = ssrc * 2654435761u % STREAMS;
  while (streams[slot].seen && streams[slot].ssrc != ssrc) slot = (slot + 1) % STREAMS;
  if (!streams[slot].seen) {
    streams[slot].ssrc = ssrc;
    streams[slot].seen = calloc(1, SEQUENCES / 8);
  }
  return &streams[slot];
}

static void count(const uint8_t *packet, size_t length) {
  if (length < 12 || (packet[1] >= 192 && packet[1] <= 223)) return; /* RTCP (RFC 5761) */
  uint32_t ssrc = (uint32_t)packet[8] << 24 | packet[9] << 16 | packet[10] << 8 | packet[11];
  if (ssrc == PROBE_SSRC) return;
  counted++;
  struct stream *stream = stream_of(ssrc);
  uint16_t sequence = packet[2] << 8 | packet[3];
  uint8_t bit = 1 << (sequence & 7);
  if (stream->seen[sequence >> 3] & bit) stream->repeated++;
  else stream->unique++;
  stream->seen[sequence >> 3] |= bit;
}

/* Sleeps between looks: a receiver that waits in the kernel is woken for each packet, and the
 * SFU, which sends on loopback, would pay for the waking. */
static void receive_until(int receiver, int64_t deadline_ns) {
  for (;;) {
    int got;
    do {
      got = recvmmsg(receiver, messages, BATCH, MSG_DONTWAIT, NULL);
      for (int i = 0; i < got; i++) count(buffers[i], messages[i].msg_len);
    } while (got == BATCH);
    int64_t left = deadline_ns - now_ns();
    if (left <= 0) return;
    struct timespec nap = {.tv_nsec = left < NAP_NS ? left : NAP_NS};
    nanosleep(&nap, NULL);
  }
}

static void forget_all(void) {
  for (int i = 0; i < STREAMS; i++) {
    if (!streams[i].seen) continue;
    memset(streams[i].seen, 0, SEQUENCES / 8);
    streams[i].unique = streams[i].repeated = 0;
  }
}

/* One frame per packet; a key frame once a second, which is what a consumer waits for. */
static void send_packet(int sender, uint8_t *packet, size_t length, uint32_t number, int rate) {
  uint16_t sequence = htons(number & 0xffff);
  uint32_t timestamp = htonl(number * (90000 / rate));
  memcpy(packet + 2, &sequence, 2);
  memcpy(packet + 4, &timestamp, 4);
  packet[13] = number % rate ? 0x01 : 0x00; /* VP8 payload header: P, the inverse key frame bit */
  if (send(sender, packet, length, 0) < 0) fail("send");
}

static uint32_t run(int sender, int receiver, uint8_t *packet, size_t length, uint32_t first, int rate, int seconds) {
  int64_t began = now_ns();
  uint32_t packets = rate * seconds;
  for (uint32_t i = 0; i < packets; i++) {
    receive_until(receiver, began + i * (1000000000LL / rate));
    send_packet(sender, packet, length, first + i, rate);
  }
  receive_until(receiver, now_ns() + 1000000000LL / rate);
  return first + packets;
}

/* Until nothing came for QUIET_MS; what comes later than PATIENCE_MS is lost. */
static void drain(int receiver) {
  uint64_t before = counted;
  for (int64_t last = now_ns(), end = last + PATIENCE_MS * 1000000LL; now_ns() < end;) {
    receive_until(receiver, now_ns() + 10000000LL);
    if (counted != before) last = now_ns();
    else if (now_ns() - last > QUIET_MS * 1000000LL) return;
    before = counted;
  }
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  int rate = atoi(argv[1]), seconds = atoi(argv[2]), payload = atoi(argv[3]), port;
  uint32_t ssrc = htonl(strtoul(argv[4], NULL, 10));
  for (int i = 0; i < BATCH; i++) {
    vectors[i] = (struct iovec){buffers[i], SIZE};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
  }

  int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0), room = 32 << 20;
  struct sockaddr_in here = loopback(0);
  socklen_t size = sizeof here;
  if (setsockopt(receiver, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room))
    setsockopt(receiver, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (bind(receiver, (struct sockaddr *)&here, size)) fail("bind");
  getsockname(receiver, (struct sockaddr *)&here, &size);
  printf("%d\n", ntohs(here.sin_port));
  fflush(stdout);

  if (scanf("%d", &port) != 1) return 2;
  struct sockaddr_in sfu = loopback(port);
  if (connect(sender, (struct sockaddr *)&sfu, sizeof sfu)) fail("connect");
  uint8_t packet[SIZE] = {0x80, 101}; /* RTP: version 2, payload type 101 */
  memcpy(packet + 8, &ssrc, 4);
  packet[12] = 0x10; /* VP8 payload descriptor: start of partition 0 */
  for (int i = 14; i < 12 + payload; i++) packet[i] = (uint8_t)(i * 31);

  uint32_t next = run(sender, receiver, packet, 12 + payload, 0, rate, WARM_UP_S);
  drain(receiver);
  forget_all();
  puts("begin");
  fflush(stdout);
  uint32_t first = next;
  next = run(sender, receiver, packet, 12 + payload, first, rate, seconds);
  drain(receiver);
  puts("end");

  uint64_t received = 0, repeated = 0, whole = 0, active = 0;
  for (int i = 0; i < STREAMS; i++) {
    received += streams[i].unique;
    repeated += streams[i].repeated;
    active += streams[i].unique > 0;
    whole += streams[i].unique == next - first;
  }
  printf("{\"sent\": %u, \"streams\": %lu, \"whole_streams\": %lu, \"received\": %lu, \"repeated\": %lu}\n",
         next - first, active, whole, received, repeated);
  return 0;
}
