/* The least that sending SRTP can cost: AES-128-GCM of each packet (RFC 7714) and sendto.
 *
 *     floor STREAMS PACKETS_PER_SECOND SECONDS PAYLOAD_BYTES
 *
 * As in the SFU, each stream has its own key and its own UDP socket, and one packet after the
 * other goes to all streams; a child takes them from the receiving socket. Prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 12, TAG = 16, IV = 12, SIZE = 1600, BATCH = 256 };

static double seconds_of(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void take_all(int receiver) {
  static uint8_t buffers[BATCH][SIZE];
  static struct mmsghdr messages[BATCH];
  static struct iovec vectors[BATCH];
  for (int i = 0; i < BATCH; i++) {
    vectors[i] = (struct iovec){buffers[i], SIZE};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  for (;;) /* as rtp_load.c: asleep between looks, so that the sender wakes nobody */
    if (recvmmsg(receiver, messages, BATCH, MSG_DONTWAIT, NULL) < BATCH) usleep(2000);
}

static int sealed(EVP_CIPHER_CTX *context, uint8_t *out, const uint8_t *header, const uint8_t *payload, int length) {
  uint8_t iv[IV] = {0};
  int written, rest;
  memcpy(iv + 2, header + 8, 4); /* the SSRC, and the index of the packet */
  memcpy(iv + 10, header + 2, 2);
  memcpy(out, header, HEADER);
  if (!EVP_EncryptInit_ex(context, NULL, NULL, NULL, iv) || !EVP_EncryptUpdate(context, NULL, &written, out, HEADER) ||
      !EVP_EncryptUpdate(context, out + HEADER, &written, payload, length) ||
      !EVP_EncryptFinal_ex(context, out + HEADER + written, &rest) ||
      !EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, out + HEADER + length))
    exit(1);
  return HEADER + length + TAG;
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  int streams = atoi(argv[1]), rate = atoi(argv[2]), seconds = atoi(argv[3]), payload = atoi(argv[4]), room = 32 << 20;
  int receiver = socket(AF_INET, SOCK_DGRAM, 0), *sockets = calloc(streams, sizeof *sockets);
  EVP_CIPHER_CTX **contexts = calloc(streams, sizeof *contexts);
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof here;
  if (setsockopt(receiver, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room))
    setsockopt(receiver, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (bind(receiver, (struct sockaddr *)&here, size)) return 1;
  getsockname(receiver, (struct sockaddr *)&here, &size);
  pid_t child = fork();
  if (child == 0) take_all(receiver);

  for (int i = 0; i < streams; i++) {
    uint8_t key[16];
    for (int k = 0; k < 16; k++) key[k] = (uint8_t)(i * 7 + k);
    contexts[i] = EVP_CIPHER_CTX_new();
    if (!EVP_EncryptInit_ex(contexts[i], EVP_aes_128_gcm(), NULL, key, NULL)) return 1;
    if ((sockets[i] = socket(AF_INET, SOCK_DGRAM, 0)) < 0) return 1;
  }
  uint8_t header[HEADER] = {0x80, 101}, plain[SIZE] = {0}, packet[SIZE];
  uint64_t sent = 0;
  double began = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  for (int number = 0; number < rate * seconds; number++) {
    double wait = began + (double)number / rate - seconds_of(CLOCK_MONOTONIC);
    if (wait > 0) usleep((useconds_t)(wait * 1e6));
    for (int i = 0; i < streams; i++) {
      header[2] = number >> 8, header[3] = number, header[10] = i >> 8, header[11] = i;
      int length = sealed(contexts[i], packet, header, plain, payload);
      sent += sendto(sockets[i], packet, length, 0, (struct sockaddr *)&here, size) == length;
    }
  }
  cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  printf("{\"sent\": %lu, \"cpu_s\": %.6f}\n", sent, cpu);
  return 0;
}
