"""Tells who speaks (mediasoup's ActiveSpeakerObserver)."""

from kcs_sfu.mediasoup import flat
from kcs_sfu.mediasoup.events import DominantSpeaker
from kcs_sfu.mediasoup.fbs.Notification.Event import Event
from kcs_sfu.mediasoup.ids import ProducerId
from kcs_sfu.mediasoup.rtp_observer import RtpObserver


class ActiveSpeakerObserver(RtpObserver):
    """Made by Router.create_active_speaker_observer(). Emits `DominantSpeaker` on a change."""

    def _on_notification(self, event: int, buf: bytes, pos: int) -> None:
        if event == Event.ACTIVESPEAKEROBSERVER_DOMINANT_SPEAKER:
            producer_id = flat.text(buf, pos + flat.slots(buf, pos)[0])
            producer = self.router.producers.get(ProducerId(producer_id))
            if producer is not None:
                self._emit(DominantSpeaker(producer))
