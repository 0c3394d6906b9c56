// A clock as a picture: 8 x 6 cells, black or white. 32 bits of the time in ms, 8 bits of check,
// 8 bits that are always the same. A cell is read at its centre, so it survives a small layer.
(() => {
  const COLUMNS = 8, ROWS = 6, MARK = 0b10100101;
  const now = () => Math.round(performance.timeOrigin + performance.now()) >>> 0;
  const check = (time) => (time ^ (time >>> 8) ^ (time >>> 16) ^ (time >>> 24)) & 0xff;

  function cells(time) {
    const bytes = [time >>> 24, time >>> 16, time >>> 8, time, check(time), MARK];
    return bytes.flatMap((byte) => [...Array(8).keys()].map((bit) => (byte >>> (7 - bit)) & 1));
  }

  // A camera whose picture is the clock of now, painted for each frame.
  window.kcsClockStream = (width, height, fps) => {
    const canvas = document.createElement('canvas');
    Object.assign(canvas, { width, height });
    const context = canvas.getContext('2d');
    const [w, h] = [width / COLUMNS, height / ROWS];
    setInterval(() => {
      cells(now()).forEach((bit, i) => {
        context.fillStyle = bit ? '#fff' : '#000';
        context.fillRect((i % COLUMNS) * w, Math.floor(i / COLUMNS) * h, w, h);
      });
    }, 1000 / fps);
    return canvas.captureStream(fps);
  };

  // The same camera for a page that asks the browser for one; the microphone stays as it is.
  window.kcsClockCamera = (width, height, fps) => {
    const native = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async ({ audio, video }) => {
      const stream = audio ? await native({ audio }) : new MediaStream();
      if (video) stream.addTrack(window.kcsClockStream(width, height, fps).getVideoTracks()[0]);
      return stream;
    };
  };

  // Reads the clock in every frame of every video of the page. A frame is seen when it is handed
  // to the compositor, at its `presentationTime`. Frames without a clock are counted apart.
  window.kcsLatencies = { seconds: [], frames: 0, unreadable: 0, height: 0 };
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true });

  function read(video) {
    Object.assign(canvas, { width: COLUMNS * 4, height: ROWS * 4 });
    context.imageSmoothingEnabled = false;
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const bit = (i) => {
      const [x, y] = [(i % COLUMNS) * 4 + 2, Math.floor(i / COLUMNS) * 4 + 2];
      return data[(y * canvas.width + x) * 4] > 127 ? 1 : 0;
    };
    const byte = (n) => [...Array(8).keys()].reduce((sum, b) => sum * 2 + bit(n * 8 + b), 0);
    const [a, b, c, d, sum, mark] = [0, 1, 2, 3, 4, 5].map(byte);
    const time = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
    return mark === MARK && sum === check(time) ? time : null;
  }

  window.kcsWatch = (video) => {
    const seen = window.kcsLatencies;
    const frame = (_, { presentationTime }) => {
      const time = read(video);
      seen.frames += 1;
      seen.height = video.videoHeight;
      if (time === null) seen.unreadable += 1;
      else {
        const shown = Math.round(performance.timeOrigin + presentationTime) >>> 0;
        seen.seconds.push(((shown - time) | 0) / 1000);
      }
      video.requestVideoFrameCallback(frame);
    };
    video.requestVideoFrameCallback(frame);
  };
})();
