// Appended to the client guide's sample: the page that the guide leaves to its reader.
// It supplies the hooks that the sample calls and leaves out, and remembers what came.

class PageClient extends MeetingClient {
  events = [];

  onParticipantJoined(data) { this.events.push(['joined', data]); }
  onParticipantLeft(data) { this.events.push(['left', data]); }
  onNewMessage(data) { this.events.push(['message', data]); }
  onScreenShareStarted(data) { this.events.push(['screen', data]); }
  showReaction(data) { this.events.push(['reaction', data]); }
  handleError(error) { this.events.push(['error', error]); }
}

window.enter = async (token, meetingId) => {
  const client = (window.client = new PageClient());
  await client.connect(token);
  await client.joinMeeting(meetingId);
};

window.send = async () => {
  const stream = await navigator.mediaDevices.getUserMedia({
    video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } },
    audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  });
  await client.produceMedia(stream);
};
