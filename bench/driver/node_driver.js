// Node's mediasoup doing what our_driver.py does: the same commands and answers, one JSON per line.
const mediasoup = require('mediasoup');
const { createInterface } = require('node:readline');

const listenInfo = { protocol: 'udp', ip: '127.0.0.1' };
const cpuUs = () => Object.values(process.cpuUsage()).reduce((a, b) => a + b);

class Driver {
  async start({ worker_bin, media_codecs, producer, audio, capabilities }) {
    this.capabilities = capabilities;
    this.worker = await mediasoup.createWorker({ workerBin: worker_bin });
    this.router = await this.worker.createRouter({ mediaCodecs: media_codecs });
    this.source = await this.router.createPlainTransport({ listenInfo, rtcpMux: true, comedia: true });
    this.producer = await this.source.produce({ kind: 'video', rtpParameters: producer });
    this.audio = await this.source.produce({ kind: 'audio', rtpParameters: audio });
    this.transports = await Promise.all(
      Array.from({ length: 10 }, () => this.router.createWebRtcTransport({ listenInfos: [listenInfo] })),
    );
    return { port: this.source.tuple.localPort };
  }

  consume(i) {
    return this.transports[i % 10].consume({
      producerId: this.producer.id,
      rtpCapabilities: this.capabilities,
      paused: true,
    });
  }

  // Creates, resumes and closes `count` consumers, `batch` at a time.
  async consumers({ count, batch }) {
    const before = cpuUs();
    for (let done = 0; done < count; done += batch) {
      await Promise.all(
        Array.from({ length: batch }, async (_, i) => {
          const consumer = await this.consume(i);
          await consumer.resume();
          consumer.close();
        }),
      );
    }
    return { count, cpu_us: cpuUs() - before };
  }

  // Each pause and resume of a producer is one notification to each of its consumers.
  async pauses({ consumers, rounds }) {
    let count = 0;
    let allHeard;
    const heard = () => {
      if (++count % (2 * consumers) === 0) allHeard();
    };
    const all = await Promise.all(Array.from({ length: consumers }, (_, i) => this.consume(i)));
    for (const consumer of all) {
      consumer.on('producerpause', heard);
      consumer.on('producerresume', heard);
    }
    const before = cpuUs();
    for (let i = 0; i < rounds; i++) {
      const done = new Promise((resolve) => (allHeard = resolve));
      await this.producer.pause();
      await this.producer.resume();
      await done;
    }
    const after = cpuUs();
    all.forEach((consumer) => consumer.close());
    return { count, cpu_us: after - before };
  }

  // Audio levels, from many observers of one speaker.
  async volumes({ observers, seconds }) {
    let count = 0;
    const all = [];
    for (let i = 0; i < observers; i++) {
      const observer = await this.router.createAudioLevelObserver({ interval: 250, maxEntries: 10, threshold: -127 });
      await observer.addProducer({ producerId: this.audio.id });
      observer.on('volumes', (volumes) => (count += volumes.length));
      all.push(observer);
    }
    count = 0;
    const before = cpuUs();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const result = { count, cpu_us: cpuUs() - before };
    all.forEach((observer) => observer.close());
    return result;
  }
}

const driver = new Driver();
let queue = Promise.resolve();
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const { command, ...args } = JSON.parse(line);
  queue = queue.then(async () => console.log(JSON.stringify(await driver[command](args))));
});
lines.once('close', () => process.exit(0));
