"""Tells how loud producers are (mediasoup's AudioLevelObserver)."""

from kcs_sfu.mediasoup import flat
from kcs_sfu.mediasoup.events import Silence, Volume, Volumes
from kcs_sfu.mediasoup.fbs.Notification.Event import Event
from kcs_sfu.mediasoup.ids import ProducerId
from kcs_sfu.mediasoup.rtp_observer import RtpObserver


class AudioLevelObserver(RtpObserver):
    """Made by Router.create_audio_level_observer(). Emits `Volumes` per interval, and `Silence`."""

    def _on_notification(self, event: int, buf: bytes, pos: int) -> None:
        if event == Event.AUDIOLEVELOBSERVER_VOLUMES:
            if not self._heard(Volumes):
                return
            producers = self.router.producers
            volumes = []
            for table in flat.tables(buf, pos + flat.slots(buf, pos)[0]):
                producer_id, volume, *_ = flat.slots(buf, table)
                # A producer that was closed in the meantime is left out.
                producer = producers.get(ProducerId(flat.text(buf, table + producer_id)))
                if producer is not None:
                    level = flat.i8(buf, table + volume) if volume else 0
                    volumes.append(Volume(producer, level))
            if volumes:
                self._emit(Volumes(volumes))
        elif event == Event.AUDIOLEVELOBSERVER_SILENCE:
            self._emit(Silence())
